// Two-dimensional grids, since one dimension has at most 65,535 workgroups.

const GROUP = 64u; // threads per workgroup of elementwise kernels
const SIDE = 8u;   // threads per side of a workgroup over rows and columns

// The linear index in the grid.
fn linear(id: vec3u, groups: vec3u) -> u32 {
    return id.y * groups.x * GROUP + id.x;
}
