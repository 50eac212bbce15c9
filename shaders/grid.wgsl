// A grid of two dimensions as one index, since a dimension holds at most 65,535 workgroups.

const GROUP = 64u;

fn linear(id: vec3u, groups: vec3u) -> u32 {
    return id.y * groups.x * GROUP + id.x;
}
