/// Maps values to places on one axis.
#[derive(Debug, Clone, Copy)]
pub(in crate::report) struct Scale {
    shape: Shape,
    values: (f64, f64),
    places: (f64, f64),
}

#[derive(Debug, Clone, Copy)]
enum Shape {
    Linear,
    Logarithmic,
}

impl Scale {
    /// Equal steps are equally far; `values` stand at `places`.
    pub(in crate::report) fn linear(values: (f64, f64), places: (f64, f64)) -> Self {
        let (from, to) = values;
        let values = if to > from {
            values
        } else {
            (from, from + 1.0)
        };
        Self {
            shape: Shape::Linear,
            values,
            places,
        }
    }

    /// Equal factors are equally far. Extends to whole powers of ten; values must be above zero.
    pub(in crate::report) fn logarithmic((from, to): (f64, f64), places: (f64, f64)) -> Self {
        let low = from.log10().floor();
        let high = to.log10().ceil().max(low + 1.0);
        Self {
            shape: Shape::Logarithmic,
            values: (10_f64.powf(low), 10_f64.powf(high)),
            places,
        }
    }

    /// Where a value stands.
    pub(in crate::report) fn at(&self, value: f64) -> f64 {
        let (from, to) = self.values;
        let share = match self.shape {
            Shape::Linear => (value - from) / (to - from),
            Shape::Logarithmic => (value.max(from) / from).log10() / (to / from).log10(),
        };
        let (start, end) = self.places;
        share.mul_add(end - start, start)
    }

    /// Where a value stands, or the nearer end of the axis.
    pub(in crate::report) fn clamped(&self, value: f64) -> f64 {
        self.at(value.clamp(self.values.0, self.values.1))
    }

    /// The places of the least and of the greatest value.
    pub(in crate::report) const fn ends(&self) -> (f64, f64) {
        self.places
    }

    /// Round values along the axis, about as many as asked for; powers of ten on a logarithmic one.
    pub(in crate::report) fn ticks(&self, about: u32) -> Vec<f64> {
        let (from, to) = self.values;
        match self.shape {
            Shape::Linear => {
                let step = round_up((to - from) / f64::from(about));
                let first = (from / step).ceil();
                let ticks = (0..=3 * about).map(|index| (first + f64::from(index)) * step);
                ticks.take_while(|tick| *tick <= to + step * 1e-9).collect()
            }
            Shape::Logarithmic => {
                let decades = (to / from).log10().round();
                let ticks = (0_i32..).map(|power| from * 10_f64.powi(power));
                ticks
                    .take_while(|tick| *tick <= from * 10_f64.powf(decades + 0.5))
                    .collect()
            }
        }
    }
}

/// The least of 1, 2, 5, 10, 20, … (and their fractions) that is not below `value`.
fn round_up(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    let digits = [1.0, 2.0, 5.0, 10.0];
    let digit = digits
        .into_iter()
        .find(|digit| digit * power >= value * (1.0 - 1e-9));
    digit.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_between_the_ends_of_their_axis() {
        let scale = Scale::linear((-10.0, 30.0), (40.0, 440.0));
        let places: Vec<_> = [-10.0, 0.0, 30.0].map(|value| scale.at(value)).into();
        assert_eq!(places, [40.0, 140.0, 440.0]);
        let places: Vec<_> = [-99.0, 99.0].map(|value| scale.clamped(value)).into();
        assert_eq!(places, [40.0, 440.0]);
        let scale = Scale::logarithmic((2.0, 700.0), (100.0, 0.0));
        let places = [0.0, 1.0, 10.0, 1000.0].map(|value| scale.at(value).round());
        let places = Vec::from(places);
        assert_eq!(places, [100.0, 100.0, 67.0, 0.0]);
    }

    #[test]
    fn ticks_are_round_and_few() {
        let ticks = |from, to| Scale::linear((from, to), (0.0, 1.0)).ticks(5);
        assert_eq!(ticks(-10.0, 80.0), [0.0, 20.0, 40.0, 60.0, 80.0]);
        assert_eq!(ticks(0.0, 1.0).len(), 6);
        let ticks = Scale::logarithmic((1.8, 2005.0), (0.0, 1.0)).ticks(3);
        assert_eq!(ticks.len(), 5);
        for (tick, expected) in ticks.iter().zip([1.0, 10.0, 100.0, 1000.0, 10_000.0]) {
            assert!((tick / expected - 1.0).abs() < 1e-9, "{tick}");
        }
    }

    #[test]
    fn an_axis_without_extent_still_has_places() {
        assert!(Scale::linear((3.0, 3.0), (0.0, 9.0)).at(3.0).abs() < 1e-9);
        assert!(
            Scale::logarithmic((1.0, 1.0), (9.0, 0.0))
                .at(1.0)
                .is_finite()
        );
        let steps = Vec::from([0.7, 3.0, 20.0, 51.0].map(round_up));
        assert_eq!(steps, [1.0, 5.0, 20.0, 100.0]);
    }
}
