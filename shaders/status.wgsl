// What an update reports and obeys.

struct Status {
    loss: f32,      // of this step, divided
    norm: f32,      // of the divided gradient, before clipping
    scale: f32,     // what the gradient sums are multiplied with: the division and the clipping at once
    bad_step: u32,  // the last step that counts as bad: its loss or its norm was not finite
    bad_norm: u32,  // 1: it was the norm, 0: the loss
    bad_in_row: u32, // bad steps in a row: none of them updates anything, and beyond args.skips no later one does
    skipped: u32,   // steps that updated nothing since the host last set this: the bad ones, and those behind the last of them
    rate: f32,      // of this update, chosen by the updates made so far: η; Adam: η / (1 − β₁ᵗ)
    root_bias2: f32, // Adam: √(1 − β₂ᵗ)
    fresh: f32,     // SGD: what of g enters b
}

// The numbers of this step, written by the host.
struct Update {
    count: u32,          // vec4 parameters
    partials: u32,
    step: u32,           // from 1
    inverse_divisor: f32,
    clip_norm: f32,      // 0: no clipping
    clip_value: f32,     // 0: no clipping
    known: u32,          // skipped steps that the host knows of
    choices: u32,        // of the numbers that depend on how many more there were
    shrink: f32,         // AdamW: 1 − η·λ
    decay: f32,          // λ where it enters the gradient
    momentum: f32,       // μ; Adam: β₁
    alpha: f32,          // RMSprop: α; Adam: β₂
    eps: f32,
    one_minus_momentum: f32, // 1 − β₁ and 1 − β₂ (or 1 − α), from f64
    one_minus_alpha: f32,
    skips: u32,          // bad steps in a row that are passed over
}
