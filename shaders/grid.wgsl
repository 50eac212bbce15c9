// Grids of two dimensions, since a dimension holds at most 65,535 workgroups.

const GROUP = 64u; // threads of a workgroup over elements
const SIDE = 8u;   // and of each side of one over rows and columns

// The grid as one index.
fn linear(id: vec3u, groups: vec3u) -> u32 {
    return id.y * groups.x * GROUP + id.x;
}
