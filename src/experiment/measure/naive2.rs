//! The forecast that M4 measures others against.

use crate::data::series::naive::KnownRows;

/// How many standard errors an autocorrelation may be from 0 in the test of M4: 90 % of a normal distribution.
const CRITICAL: f64 = 1.645;

/// Multiplicative seasonal indices of a series, for the forecast Naive2 of M4 (Makridakis, Spiliotis & Assimakopoulos
/// 2020): the last value, seasonally adjusted, in the season of the row that is forecast.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SeasonalIndices {
    /// By row modulo the period; they have mean 1.
    indices: Vec<f64>,
}

impl SeasonalIndices {
    /// Those of the `training` values, which begin in row `begin`; `None` if these are not seasonal, and Naive2 is then
    /// the last value. They are not if there are fewer than three periods, or if the autocorrelation at the period
    /// passes for 0 in a test at 90 %; nor if a value is 0 or less, which multiplication by indices cannot describe.
    pub(crate) fn fit(training: &[f64], begin: usize, period: usize) -> Option<Self> {
        let has_all = training.iter().all(|value| value.is_nan() || *value > 0.0);
        if period < 2 || training.len() < 3 * period || !has_all || !is_seasonal(training, period) {
            return None;
        }
        let mut figure = vec![(0.0, 0.0); period];
        for (row, trend) in moving_average(training, period) {
            let ratio = training[row] / trend;
            if ratio.is_finite() {
                let (sum, count) = &mut figure[(begin + row) % period];
                (*sum, *count) = (*sum + ratio, *count + 1.0);
            }
        }
        let figure: Vec<f64> = figure.iter().map(|(sum, count)| sum / count).collect();
        let mean = figure.iter().sum::<f64>() / period as f64;
        let indices: Vec<f64> = figure.iter().map(|index| index / mean).collect();
        indices.iter().all(|index| *index > 0.0 && index.is_finite()).then_some(Self { indices })
    }

    /// Naive2 for row `first` + `step`: from the last known value before row `first`; NaN if there is none.
    pub(crate) fn naive2(&self, known: &KnownRows<'_>, first: usize, step: usize) -> f64 {
        let index = |row: usize| self.indices[row % self.indices.len()];
        known.before(first).map_or(f64::NAN, |(row, value)| value / index(row) * index(first + step))
    }
}

/// Whether the autocorrelation at lag `period` is outside the limits ±1.645 √((1 + 2 Σ r²) / n) of Bartlett, where the sum
/// is over the shorter lags.
fn is_seasonal(values: &[f64], period: usize) -> bool {
    let known = values.iter().filter(|value| !value.is_nan());
    let (sum, count) = known.clone().fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    let mean = sum / count;
    let variance: f64 = known.map(|value| (value - mean).powi(2)).sum();
    let correlation = |lag: usize| -> f64 {
        let pairs = values.iter().zip(&values[lag..]).map(|(a, b)| (a - mean) * (b - mean));
        pairs.filter(|product| !product.is_nan()).sum::<f64>() / variance
    };
    let shorter: f64 = (1..period).map(|lag| correlation(lag).powi(2)).sum();
    correlation(period).abs() > CRITICAL * ((1.0 + 2.0 * shorter) / count).sqrt()
}

/// The centred moving averages over a period, with half weight at both ends if it is even: rows and averages, NaN where
/// a value is missing.
fn moving_average(values: &[f64], period: usize) -> impl Iterator<Item = (usize, f64)> {
    let half = period / 2;
    (half..values.len() - half).map(move |row| {
        let inner = if period.is_multiple_of(2) { row + 1 - half..row + half } else { row - half..row + half + 1 };
        let ends = if period.is_multiple_of(2) { (values[row - half] + values[row + half]) / 2.0 } else { 0.0 };
        (row, (ends + values[inner].iter().sum::<f64>()) / period as f64)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Monthly airline passengers in thousands, 1949 to 1960 (Box & Jenkins).
    const PASSENGERS: [f64; 144] = [
        112., 118., 132., 129., 121., 135., 148., 148., 136., 119., 104., 118., 115., 126., 141., 135., 125., 149.,
        170., 170., 158., 133., 114., 140., 145., 150., 178., 163., 172., 178., 199., 199., 184., 162., 146., 166.,
        171., 180., 193., 181., 183., 218., 230., 242., 209., 191., 172., 194., 196., 196., 236., 235., 229., 243.,
        264., 272., 237., 211., 180., 201., 204., 188., 235., 227., 234., 264., 302., 293., 259., 229., 203., 229.,
        242., 233., 267., 269., 270., 315., 364., 347., 312., 274., 237., 278., 284., 277., 317., 313., 318., 374.,
        413., 405., 355., 306., 271., 306., 315., 301., 356., 348., 355., 422., 465., 467., 404., 347., 305., 336.,
        340., 318., 362., 348., 363., 435., 491., 505., 404., 359., 310., 337., 360., 342., 406., 396., 420., 472.,
        548., 559., 463., 407., 362., 405., 417., 391., 419., 461., 472., 535., 622., 606., 508., 461., 390., 432.,
    ];

    #[test]
    fn the_indices_of_the_airline_passengers_are_those_that_r_prints() {
        // decompose(AirPassengers, "multiplicative")$figure.
        let expected = [
            0.9102304, 0.8836253, 1.0073663, 0.9759060, 0.9813780, 1.1127758, 1.2265555, 1.2199110, 1.0604919,
            0.9217572, 0.8011781, 0.8988244,
        ];
        let indices = SeasonalIndices::fit(&PASSENGERS, 0, 12).unwrap();
        for (got, expected) in indices.indices.iter().zip(expected) {
            assert!((got - expected).abs() < 5e-8, "{got} {expected}");
        }
        // Of the same months if the first row is another one.
        let later = SeasonalIndices::fit(&PASSENGERS, 5, 12).unwrap();
        let pairs = later.indices[5..].iter().zip(&indices.indices);
        pairs.for_each(|(later, index)| assert!((later - index).abs() < 1e-12, "{later} {index}"));
        // The December of 1960 is 432: its adjusted value in January.
        let january = indices.naive2(&KnownRows::new(&PASSENGERS), 144, 0);
        assert!((january - 432.0 / 0.8988244 * 0.9102304).abs() < 1e-3, "{january}");
    }

    #[test]
    fn a_small_series_is_adjusted_as_by_hand() {
        // Ratios to the moving average of 2: 0.5 and 1.5 by turns. An odd period has no half weights.
        let alternating: Vec<f64> = (0..40).map(|row| if row % 2 == 0 { 1.0 } else { 3.0 }).collect();
        assert_eq!(SeasonalIndices::fit(&alternating, 0, 2).unwrap().indices, [0.5, 1.5]);
        let three: Vec<f64> = (0..60).map(|row| [1.0, 2.0, 6.0][row % 3]).collect();
        let indices = SeasonalIndices::fit(&three, 0, 3).unwrap();
        indices.indices.iter().zip([1.0 / 3.0, 2.0 / 3.0, 2.0]).for_each(|(a, b)| assert!((a - b).abs() < 1e-12));
        // A gap is left out; the last known value is adjusted.
        let mut gap = three.clone();
        gap[30] = f64::NAN;
        gap[59] = f64::NAN;
        let indices = SeasonalIndices::fit(&gap, 0, 3).unwrap();
        assert!((indices.naive2(&KnownRows::new(&gap), 60, 2) - 6.0).abs() < 1e-12);
    }

    #[test]
    fn what_is_not_seasonal_has_no_indices() {
        // Noise (Knuth's linear congruential generator), too few periods, no period, and a value of 0.
        let mut state = 3u64;
        let noise: Vec<f64> = (0..120)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                5.0 + (state >> 40) as f64 / 8_388_608.0
            })
            .collect();
        assert_eq!(SeasonalIndices::fit(&noise, 0, 12), None);
        assert_eq!(SeasonalIndices::fit(&PASSENGERS[..35], 0, 12), None);
        assert_eq!(SeasonalIndices::fit(&PASSENGERS, 0, 1), None);
        let mut zero = PASSENGERS;
        zero[7] = 0.0;
        assert_eq!(SeasonalIndices::fit(&zero, 0, 12), None);
        assert_eq!(SeasonalIndices::fit(&[5.0; 60], 0, 12), None);
    }
}
