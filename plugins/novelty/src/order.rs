//! The lesser and the greater of two numbers by one comparison: what `f64::min` and `f64::max` are to a guest is a function
//! that also settles zeros and numbers that are none. Pure.

/// The lesser; `b` where one is no number.
pub const fn lesser(a: f64, b: f64) -> f64 {
    if a < b { a } else { b }
}

/// The greater; `b` where one is no number.
pub const fn greater(a: f64, b: f64) -> f64 {
    if a > b { a } else { b }
}
