// The update with the copies of W_hh that forward steps read. The workgroups behind those of the other parameters own 8 × 8
// blocks of 4 × 4 numbers each, so that 8 threads read 128 bytes of a row, and 8 write as many numbers of a row of the copy.

// Of every W_hh: its first vec4 in the block of all parameters, and in that of the copies.
@group(0) @binding(7) var<storage, read> recurrent: array<vec2u>;
@group(0) @binding(8) var<storage, read_write> transposed: array<Stored>;

@compute @workgroup_size(GROUP)
fn update_transposed(
    @builtin(workgroup_id) group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) local: u32,
) {
    let all_of_one = 4u * args.rows4 * args.columns4;
    let others = args.count - args.recurrent * all_of_one;
    let groups_of_others = (others + GROUP - 1u) / GROUP;
    let number = group.y * groups.x + group.x;
    if number < groups_of_others {
        let other = number * GROUP + local;
        var i = other;
        for (var k = 0u; k < args.recurrent; k++) {
            i += select(0u, all_of_one, i >= recurrent[args.first_recurrent + k].x - args.first);
        }
        if other < others && !is_skipped(i) {
            updated(i);
        }
        return;
    }
    let tiles = (vec2u(args.rows4, args.columns4) + SIDE - 1u) / SIDE;
    let tile = number - groups_of_others;
    let which = tile / (tiles.x * tiles.y);
    let row4 = tile % tiles.x * SIDE + local % SIDE;
    let column4 = tile / tiles.x % tiles.y * SIDE + local / SIDE;
    if which >= args.recurrent || row4 >= args.rows4 || column4 >= args.columns4 {
        return;
    }
    let place = recurrent[args.first_recurrent + which];
    let first = place.x - args.first + 4u * row4 * args.columns4 + column4;
    if is_skipped(first) {
        return;
    }
    let rows = mat4x4f(
        updated(first),
        updated(first + args.columns4),
        updated(first + 2u * args.columns4),
        updated(first + 3u * args.columns4),
    );
    store_transposed(rows, place.y + 4u * column4 * args.rows4 + row4, args.rows4);
}
