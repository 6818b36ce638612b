//! Figures as lines of text: `NAME: latchkey VALUE, OTHER VALUE, ratio NUMBER`.

/// The middle one; not a number if there are none.
#[must_use]
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Ours beside theirs, and the ratio of both.
pub fn print(name: &str, (ours, other, theirs): (f64, &str, f64), unit: &str, ratio: f64) {
    println!("{name}: latchkey {ours:.1} {unit}, {other} {theirs:.1} {unit}, ratio {ratio:.2}");
}
