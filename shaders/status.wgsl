// The report of an update, and its parameters.

struct Status {
    loss: f32,       // of this step, divided
    norm: f32,       // of the divided gradient, before clipping
    scale: f32,      // the factor of the gradient sums: division and clipping combined
    bad_step: u32,   // the last bad step, whose loss or norm was not finite
    bad_norm: u32,   // 1: the norm was bad, 0: the loss
    bad_in_row: u32, // bad steps in a row: none updates anything, and above args.max_skipped_updates no later step does
    skipped: u32,    // steps that updated nothing since the host last set this: bad ones, and those behind the last of them
    rate: f32,       // of this update, which depends on the updates so far: η; Adam: η / (1 − β₁ᵗ)
    root_bias2: f32, // Adam: √(1 − β₂ᵗ)
    fresh: f32,      // SGD: the factor of g in b
    average: f32,    // the weight of the parameters in their moving average
}

// The parameters of this update, written by the host for each range of the parameters with settings of its own.
struct Update {
    count: u32,               // vec4 parameters of the range
    partials: u32,            // of all ranges
    step: u32,                // from 1
    inverse_divisor: f32,
    clip_norm: f32,           // 0: no clipping
    clip_value: f32,          // 0: no clipping
    known: u32,               // skipped steps that the host knows of
    choices: u32,             // the number of `choices`, one per possible number of further skipped steps
    shrink: f32,              // AdamW: 1 − η·λ
    decay: f32,               // λ if it is added to the gradient
    momentum: f32,            // μ; Adam: β₁
    alpha: f32,               // RMSprop: α; Adam: β₂
    eps: f32,
    one_minus_momentum: f32,  // 1 − β₁ and 1 − β₂ (or 1 − α), from f64
    one_minus_alpha: f32,
    max_skipped_updates: u32, // the maximum number of bad steps in a row that are skipped
    first_partial: u32,       // of the range
    rate_factor: f32,         // the factor of the learning rate
    first: u32,               // of the range, in the block of all parameters
    recurrent: u32,           // the W_hh in the range with transposed copies, their first one among all, and the size of each
    first_recurrent: u32,
    rows4: u32,
    columns4: u32,
    updates: u32,             // those made, with this one, if none was skipped beyond the known ones
}
