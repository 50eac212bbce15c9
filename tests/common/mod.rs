/// Each number within `relative` of the expected one, or within `floor` where that is near 0.
pub(crate) fn assert_close<'a, R: bptt::Real>(
    what: &str,
    got: impl IntoIterator<Item = &'a R>,
    expected: impl IntoIterator<Item = &'a f64>,
    relative: f64,
    floor: f64,
) {
    let (got, expected): (Vec<_>, Vec<_>) = (got.into_iter().collect(), expected.into_iter().collect());
    assert_eq!(got.len(), expected.len(), "{what}");
    for (index, (got, expected)) in got.iter().zip(&expected).enumerate() {
        let error = (got.to_wide() - **expected).abs();
        assert!(error <= floor.max(relative * expected.abs()), "{what}[{index}]: expected {expected}, got {got}");
    }
}
