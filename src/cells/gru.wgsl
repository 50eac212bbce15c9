// The GRU: see gru.rs.

fn cell_forward(unit: ForwardInput) -> ForwardOutput {
    let r = sigmoid(unit.sums[1]);
    let z = sigmoid(unit.sums[2]);
    let hn = unit.sums[3];
    let n = tanh_(unit.sums[0] + r * hn);
    return ForwardOutput(array(n, r, z, hn), (1.0 - z) * n + z * unit.h);
}

fn cell_backward(unit: BackwardInput) -> BackwardOutput {
    let n = unit.kept[0];
    let r = unit.kept[1];
    let z = unit.kept[2];
    let hn = unit.kept[3];
    let dn = unit.dh * (1.0 - z) * d_tanh(n);
    let dr = dn * hn * d_sigmoid(r);
    let dz = unit.dh * (unit.h - n) * d_sigmoid(z);
    return BackwardOutput(array(dn, dr, dz, dn * r), unit.dh * z);
}
