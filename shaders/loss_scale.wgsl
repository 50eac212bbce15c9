// The scale of gradients in halves. `norm` adapts it, other kernels read it.

$scaled{struct LossScale {
    factor: f32,  // a power of two
    inverse: f32,
    good: u32,    // updates with finite gradients since it last changed
}
}
