//! What holds for every picture.

use super::*;
use crate::train::Metrics;

/// Panics unless every element is closed in its order, every attribute is quoted and nothing is left unescaped.
pub(crate) fn check_markup(text: &str) {
    let mut open = Vec::new();
    for (index, piece) in text.split('<').enumerate() {
        let (tag, words) = if index == 0 { ("", piece) } else { piece.split_once('>').expect(piece) };
        for entity in words.split('&').skip(1) {
            assert!(["amp;", "lt;", "gt;", "quot;"].iter().any(|name| entity.starts_with(name)), "{words}");
        }
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        let name = tag.split([' ', '/']).find(|name| !name.is_empty()).unwrap_or_default();
        match tag {
            _ if name.is_empty() || name == "meta" || name == "!DOCTYPE" || tag.ends_with('/') => {}
            _ if tag.starts_with('/') => assert_eq!(open.pop(), Some(name), "{piece}"),
            _ => open.push(name),
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

fn gradient_panel(name: &str) -> GradientPanel {
    let norms = vec![0.0, f64::NAN, 1e-30, 1.0];
    let line = GradientLine { name: name.into(), colour: 1, is_reverse: true, norms, clip_factor: 0.5 };
    GradientPanel { name: name.into(), lines: vec![line] }
}

#[test]
fn every_picture_is_well_formed_and_escapes_every_name() {
    let name = "<script>alert(\"&\")</script>\u{1b}";
    let metrics =
        Metrics { step: 1, epoch: 1, loss: 1.0, val_loss: Some(1.0), grad_norm: 2.0, lr: 0.1, skipped: false };
    let history = [metrics, Metrics { step: 2, loss: f64::NAN, val_loss: Some(3.0), lr: 0.2, ..metrics }];
    let baseline = Baseline { name: name.into(), loss: 0.5 };
    let names = vec![name.to_owned(); 3];
    let rows = RowAxis { name, positions: None, labels: &names };
    let target = ForecastTarget {
        name,
        truth: &[1.0, 2.0, 3.0],
        forecast: &[2.0, f64::INFINITY],
        range: Some([&[1.0, 0.0], &[3.0, 9.0]]),
    };
    let rolled_out = RolledOut { first: 3, values: vec![4.0], range: Some([vec![3.0], vec![5.0]]) };
    let rolled = RolloutTarget { name, truth: &[1.0, 2.0, 3.0], forecasts: vec![rolled_out] };
    let epochs = Epochs { steps: 1, on_axis: false, last_weight: 1.0 };
    let rate = Rate { rows: 2, rate: 1.0, spread: [0.5, 2.0] };
    let range = Some([0.1, 0.9]);
    let (title, parts) = (name.to_owned(), vec![(name, 1)]);
    let pairs = (0..9).map(|pair| (pair / 3, pair % 3));
    let matrix = crate::train::ConfusionMatrix::new(3, pairs).unwrap();
    let drawings = [
        loss(name, name, &history.as_slice(), epochs, Some(&baseline)).unwrap(),
        gradient_norm(name, &history.as_slice(), epochs, Some(1.0)).unwrap(),
        gradient_flow(name, name, &[gradient_panel(name)]),
        throughput(name, &[2], &[Rates { name: name.into(), rates: vec![rate] }]),
        ForecastChart {
            title: title.clone(),
            rows,
            first: 1,
            horizon: 1,
            period: 1,
            range,
            targets: vec![target],
            parts,
        }
        .draw(),
        RolloutChart { title: title.clone(), rows, horizon: 1, range, widened: false, targets: vec![rolled] }.draw(),
        Confusion { title: name, classes: &names, matrix: &matrix, majority: None }.draw(),
        TextSample { title: name, prime: name, sampled: name }.draw(),
        PianoRoll { title, first_key: 60, keys: 1, truth: &[true], predicted: &[0.5] }.draw(),
        Lengths::from_iter([1, 2, 2]).draw(name),
    ];
    for drawing in drawings {
        for svg in [drawing.file(), drawing.inline()] {
            check_markup(&svg);
            assert!(!svg.contains("<script") && !svg.contains('\u{1b}'), "{svg}");
            let path = |line: &&str| line.starts_with("<path") || line.starts_with("<rect");
            svg.lines().filter(path).for_each(|line| assert!(!line.contains("NaN") && !line.contains("inf"), "{line}"));
        }
        assert!(drawing.file().contains(STYLE) && !drawing.inline().contains("<style"));
    }
}
