// The LSTM: see lstm.rs.

fn cell_forward(unit: ForwardInput) -> ForwardOutput {
    let i = sigmoid(unit.sums[0]);
    let f = sigmoid(unit.sums[1]);
    let g = tanh_(unit.sums[2]);
    let o = sigmoid(unit.sums[3]);
    let c = f * unit.c + i * g;
    return ForwardOutput(array(i, f, g, o), o * tanh_(c), c);
}

fn cell_backward(unit: BackwardInput) -> BackwardOutput {
    let i = unit.kept[0];
    let f = unit.kept[1];
    let g = unit.kept[2];
    let o = unit.kept[3];
    let tanh_c = tanh_(f * unit.c + i * g);
    let dc = unit.dc + unit.dh * o * d_tanh(tanh_c);
    let di = dc * g * d_sigmoid(i);
    let df = dc * unit.c * d_sigmoid(f);
    let dg = dc * i * d_tanh(g);
    let d_o = unit.dh * tanh_c * d_sigmoid(o);
    return BackwardOutput(array(di, df, dg, d_o), vec4f(0.0), dc * f);
}
