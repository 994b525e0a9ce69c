//! Medians over the rounds, and ratios round by round: each server against what ran beside it.
//! Pure; used by every suite's report.

/// A figure and the round in which it was measured.
pub type Sample = (usize, f64);

/// The middle value; between two, their mean.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = values.get(middle).copied()?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = values.get(middle.checked_sub(1)?).copied()?;
    Some((lower + upper) / 2.0)
}

/// The median of the figures alone.
pub fn middle(samples: &[Sample]) -> Option<f64> {
    median(samples.iter().map(|(_, value)| *value).collect())
}

/// The median over the rounds of one figure by another of the same round.
pub fn ratio(of: &[Sample], by: &[Sample]) -> Option<f64> {
    let by_round = of.iter().filter_map(|(round, value)| {
        let (_, other) = by.iter().find(|(other, _)| other == round)?;
        (*other > 0.0).then(|| value / other)
    });
    median(by_round.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0]), Some(2.5));
    }

    #[test]
    fn ratios_compare_within_a_round_only() {
        let of = [(1, 10.0), (2, 30.0), (3, 8.0)];
        let by = [(1, 5.0), (3, 2.0), (4, 1.0)];
        assert_eq!(ratio(&of, &by), Some(3.0));
        assert_eq!(ratio(&of, &[(1, 0.0)]), None);
    }
}
