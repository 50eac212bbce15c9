// How z, h and the copies of W_hh are stored: 4 numbers as they are, or as halves, two in a word. Gradients in halves are stored
// times a power of two, so that small ones are not lost.
//
// What is in braces after $full{…}, $halves{…} and $scaled{…} stands only where it is so.

$full{alias Stored = vec4f;

fn loaded(stored: Stored) -> vec4f {
    return stored;
}

fn stored(value: vec4f) -> Stored {
    return value;
}
}$halves{alias Stored = vec2u;

fn loaded(stored: Stored) -> vec4f {
    return of_halves(stored);
}

fn stored(value: vec4f) -> Stored {
    return to_halves(value);
}
}
$scaled{@group(0) @binding(12) var<uniform> loss_scale: LossScale;

}fn scaled(gradient: vec4f) -> vec4f {
    return gradient$scaled{ * loss_scale.factor};
}

fn unscaled(gradient: vec4f) -> vec4f {
    return gradient$scaled{ * loss_scale.inverse};
}
