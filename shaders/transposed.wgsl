// Stores a 4 × 4 block of W_hh, four rows of one vec4, in the transposed copy: its first vec4, and those of one row there.
fn store_transposed(rows: mat4x4f, first: u32, ld: u32) {
    let columns = transpose(rows);
    transposed[first] = stored(columns[0]);
    transposed[first + ld] = stored(columns[1]);
    transposed[first + 2u * ld] = stored(columns[2]);
    transposed[first + 3u * ld] = stored(columns[3]);
}
