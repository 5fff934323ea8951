//! What an elementwise kernel reads and writes, vector by vector.

use std::marker::PhantomData;

use rten_simd::ops::NumOps;
use rten_simd::{Isa, Simd, SimdOp, SimdUnaryOp};

/// Two slices of one length, one to read and one to write; or one slice for both.
pub(crate) struct Span<'a> {
    from: *const f32,
    to: *mut f32,
    len: usize,
    lent: PhantomData<(&'a [f32], &'a mut [f32])>,
}

impl<'a> Span<'a> {
    /// Reads `from`, writes `to`.
    pub(crate) fn apart(from: &'a [f32], to: &'a mut [f32]) -> Self {
        assert_eq!(
            from.len(),
            to.len(),
            "input and output are of different lengths"
        );
        Span {
            from: from.as_ptr(),
            to: to.as_mut_ptr(),
            len: to.len(),
            lent: PhantomData,
        }
    }

    /// Replaces the values of `x`.
    pub(crate) fn in_place(x: &'a mut [f32]) -> Self {
        let to = x.as_mut_ptr();
        Span {
            from: to,
            to,
            len: x.len(),
            lent: PhantomData,
        }
    }

    /// Values on either side.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// What was written.
    pub(crate) fn written(self) -> &'a mut [f32] {
        // SAFETY: the constructors borrowed `len` values at `to` for `'a`, and `self` ends here.
        unsafe { std::slice::from_raw_parts_mut(self.to, self.len) }
    }

    /// Applies `change` to the `n` values from `at`, vector by vector, with the values of `beside` that stand at the same
    /// place counted from `at`. Lanes past the last value hold zeros.
    #[inline(always)]
    pub(crate) fn change<O: NumOps<f32>, const P: usize>(
        &mut self,
        ops: O,
        (at, n): (usize, usize),
        beside: [&[f32]; P],
        change: impl Fn(O::Simd, [O::Simd; P]) -> O::Simd,
    ) {
        assert!(at <= self.len && n <= self.len - at);
        assert!(beside.iter().all(|values| values.len() >= n));
        let beside = beside.map(<[f32]>::as_ptr);
        let lanes = ops.len();
        // SAFETY: both pointers are valid for `len` values while `'a` lasts (the constructors borrowed them), those
        // `beside` for `n`, and `at + n <= len` was asserted; in the last vector only the lanes below `n` touch memory.
        unsafe {
            let (from, to) = (self.from.add(at), self.to.add(at));
            let mut done = 0;
            while n - done >= lanes {
                let mut vectors = [ops.zero(); P];
                for (vector, values) in vectors.iter_mut().zip(beside) {
                    *vector = ops.load_ptr(values.add(done));
                }
                let changed = change(ops.load_ptr(from.add(done)), vectors);
                ops.store_ptr(changed, to.add(done));
                done += lanes;
            }
            if done < n {
                let mask = ops.first_n_mask(n - done);
                let mut vectors = [ops.zero(); P];
                for (vector, values) in vectors.iter_mut().zip(beside) {
                    *vector = ops.load_ptr_mask(values.add(done), mask);
                }
                let changed = change(ops.load_ptr_mask(from.add(done), mask), vectors);
                ops.store_ptr_mask(changed, to.add(done), mask);
            }
        }
    }
}

/// A vector, or the lanes of one that are in `mask`.
///
/// # Safety
/// `from` is valid for a vector, or for the lanes in `mask`.
#[inline(always)]
pub(crate) unsafe fn load_masked<O: NumOps<f32>>(
    ops: O,
    from: *const f32,
    mask: Option<<O::Simd as Simd>::Mask>,
) -> O::Simd {
    // SAFETY: as this function.
    unsafe {
        match mask {
            None => ops.load_ptr(from),
            Some(mask) => ops.load_ptr_mask(from, mask),
        }
    }
}

/// The next values of `x`, at most one vector of them; zeros fill it up.
#[inline(always)]
pub(crate) fn load_some<O: NumOps<f32>>(ops: O, x: &[f32]) -> O::Simd {
    if x.len() >= ops.len() {
        ops.load(x)
    } else {
        ops.load_pad(x).0
    }
}

/// Stores as many lanes as `out` has room for.
#[inline(always)]
pub(crate) fn store_some<O: NumOps<f32>>(ops: O, values: O::Simd, out: &mut [f32]) {
    if out.len() >= ops.len() {
        ops.store(values, out);
    } else {
        for (out, value) in out.iter_mut().zip(values.to_array()) {
            *out = value;
        }
    }
}

/// A function of one value over a span.
pub(crate) struct Map<'a, F> {
    pub(crate) function: F,
    pub(crate) span: Span<'a>,
}

impl<'a, F: SimdUnaryOp<f32>> SimdOp for Map<'a, F> {
    type Output = &'a mut [f32];

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) -> Self::Output {
        let Map { function, mut span } = self;
        let ops = isa.f32();
        let all = (0, span.len());
        span.change(
            ops,
            all,
            [],
            #[inline(always)]
            |x, []| function.eval(isa, x),
        );
        span.written()
    }
}
