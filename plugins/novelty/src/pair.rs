//! Two numbers side by side, on which all is done at once: a guest pays for each operation that there be one kind of NaN
//! alone, and for two numbers in one no more than for one. Each operation is what it is on one number. Pure.

#[cfg(not(target_arch = "wasm32"))]
pub use host::{Mask, Pair, below_in};

#[cfg(target_arch = "wasm32")]
pub use guest::{Mask, Pair, below_in};

/// In a guest: 128 bits at once.
#[cfg(target_arch = "wasm32")]
mod guest {
    use core::arch::wasm32::*;

    /// Two numbers.
    #[derive(Clone, Copy, Debug)]
    pub struct Pair(v128);

    /// For each of two numbers, whether.
    #[derive(Clone, Copy, Debug)]
    pub struct Mask(v128);

    macro_rules! inlined {
        ($(pub fn $name:ident($($arguments:tt)*) -> $answer:ty $body:block)*) => {
            $(#[inline] #[target_feature(enable = "simd128")] pub fn $name($($arguments)*) -> $answer $body)*
        };
    }

    impl Pair {
        inlined! {
            pub fn new(a: f64, b: f64) -> Self { Self(f64x2(a, b)) }
            pub fn both(of: f64) -> Self { Self(f64x2_splat(of)) }
            pub fn get(self) -> [f64; 2] { [f64x2_extract_lane::<0>(self.0), f64x2_extract_lane::<1>(self.0)] }
            pub fn plus(self, other: Self) -> Self { Self(f64x2_add(self.0, other.0)) }
            pub fn minus(self, other: Self) -> Self { Self(f64x2_sub(self.0, other.0)) }
            pub fn times(self, other: Self) -> Self { Self(f64x2_mul(self.0, other.0)) }
            pub fn over(self, other: Self) -> Self { Self(f64x2_div(self.0, other.0)) }
            pub fn root(self) -> Self { Self(f64x2_sqrt(self.0)) }
            pub fn size(self) -> Self { Self(f64x2_abs(self.0)) }
            pub fn lesser(self, other: Self) -> Self { Self(f64x2_pmin(other.0, self.0)) }
            pub fn greater(self, other: Self) -> Self { Self(f64x2_pmax(other.0, self.0)) }
            pub fn signed_as(self, other: Self) -> Self { Self(v128_bitselect(other.0, self.0, f64x2_splat(-0.0))) }
            pub fn is_below(self, other: Self) -> Mask { Mask(f64x2_lt(self.0, other.0)) }
            pub fn is(self, other: Self) -> Mask { Mask(f64x2_eq(self.0, other.0)) }
        }
    }

    /// How many of eight numbers in order are below one.
    #[inline]
    #[target_feature(enable = "simd128")]
    pub fn below_in(of: &[f64; 8], x: f64) -> usize {
        let ([a, b, c, d, e, f, g, h], x) = (*of, f64x2_splat(x));
        let below = |one, other| f64x2_lt(f64x2(one, other), x);
        let sums = i64x2_add(i64x2_add(below(a, b), below(c, d)), i64x2_add(below(e, f), below(g, h)));
        -(i64x2_extract_lane::<0>(sums) + i64x2_extract_lane::<1>(sums)) as usize
    }

    impl Mask {
        inlined! {
            pub fn new(a: bool, b: bool) -> Self { Self(i64x2(-i64::from(a), -i64::from(b))) }
            pub fn and(self, other: Self) -> Self { Self(v128_and(self.0, other.0)) }
            pub fn or(self, other: Self) -> Self { Self(v128_or(self.0, other.0)) }
            pub fn choose(self, yes: Pair, no: Pair) -> Pair { Pair(v128_bitselect(yes.0, no.0, self.0)) }
        }
    }
}

/// Elsewhere.
#[cfg(not(target_arch = "wasm32"))]
mod host {
    use crate::order;

    /// Two numbers.
    #[derive(Clone, Copy, Debug)]
    pub struct Pair([f64; 2]);

    /// For each of two numbers, whether.
    #[derive(Clone, Copy, Debug)]
    pub struct Mask([bool; 2]);

    macro_rules! each {
        ($($name:ident: |$a:ident $(, $b:ident)?| $made:ident $done:expr;)*) => {
            $(
                #[inline(always)]
                pub fn $name(self $(, $b: Self)?) -> $made {
                    let [one, two] = self.0;
                    $(let $b = $b.0;)?
                    let of = |$a: f64 $(, $b: f64)?| $done;
                    $made(each!(@both of, one, two $(, $b)?))
                }
            )*
        };
        (@both $of:ident, $one:ident, $two:ident) => { [$of($one), $of($two)] };
        (@both $of:ident, $one:ident, $two:ident, $other:ident) => { [$of($one, $other[0]), $of($two, $other[1])] };
    }

    /// How many of eight numbers in order are below one.
    #[inline(always)]
    pub fn below_in(of: &[f64; 8], x: f64) -> usize {
        // They are in order: so many bits are set, from the lowest on.
        let is_below = of.map(|number| u32::from(number < x));
        let bits = (0..).zip(is_below).fold(0, |bits, (at, is_below)| bits | is_below << at);
        bits.trailing_ones() as usize
    }

    impl Pair {
        #[inline(always)]
        pub fn new(a: f64, b: f64) -> Self {
            Self([a, b])
        }
        #[inline(always)]
        pub fn both(of: f64) -> Self {
            Self([of, of])
        }
        #[inline(always)]
        pub fn get(self) -> [f64; 2] {
            self.0
        }
        each! {
            plus: |a, b| Pair a + b;
            minus: |a, b| Pair a - b;
            times: |a, b| Pair a * b;
            over: |a, b| Pair a / b;
            root: |a| Pair a.sqrt();
            size: |a| Pair a.abs();
            lesser: |a, b| Pair order::lesser(a, b);
            greater: |a, b| Pair order::greater(a, b);
            signed_as: |a, b| Pair a.copysign(b);
            is_below: |a, b| Mask a < b;
            is: |a, b| Mask a == b;
        }
    }

    impl Mask {
        #[inline(always)]
        pub fn new(a: bool, b: bool) -> Self {
            Self([a, b])
        }
        #[inline(always)]
        pub fn and(self, other: Self) -> Self {
            Self([self.0[0] & other.0[0], self.0[1] & other.0[1]])
        }
        #[inline(always)]
        pub fn or(self, other: Self) -> Self {
            Self([self.0[0] | other.0[0], self.0[1] | other.0[1]])
        }
        #[inline(always)]
        pub fn choose(self, yes: Pair, no: Pair) -> Pair {
            let [a, b] = self.0;
            Pair([if a { yes.0[0] } else { no.0[0] }, if b { yes.0[1] } else { no.0[1] }])
        }
    }
}
