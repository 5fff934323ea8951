//! Two ways from a signal to another, whose results are added.

use super::{Chain, Context, Layer, Memory, More, Padding, Window};

/// `main(x) + side(x)`, or `main(x) + x`.
#[derive(Debug)]
pub struct Branches {
    main: Chain,
    side: Option<Chain>,
}

impl Branches {
    /// Of chains that give as many rows of as many channels, `x` itself where there is no `side`.
    ///
    /// # Panics
    /// Where the channels differ.
    pub fn new(main: Chain, side: Option<Chain>) -> Self {
        let channels = (main.inputs(), main.outputs());
        let other = side
            .as_ref()
            .map_or((main.inputs(), main.inputs()), |side| {
                (side.inputs(), side.outputs())
            });
        assert_eq!(channels, other, "branches that do not fit");
        Branches { main, side }
    }
}

impl Layer for Branches {
    fn inputs(&self) -> usize {
        self.main.inputs()
    }

    fn outputs(&self) -> usize {
        self.main.outputs()
    }

    fn memory(&self) -> Memory {
        let chains = [Some(&self.main), self.side.as_ref()];
        let states = chains.into_iter().flatten().map(Chain::state).collect();
        Memory::window(self.inputs(), Padding::NONE).with(More::Chains(states))
    }

    fn produced(&self, received: u64) -> u64 {
        let side = self
            .side
            .as_ref()
            .map_or(received, |side| side.produced(received));
        self.main.produced(received).min(side)
    }

    fn total(&self, received: u64) -> u64 {
        self.main.total(received)
    }

    fn advance(
        &self,
        memory: &mut Memory,
        limit: usize,
        context: &Context<'_>,
        out: &mut Window,
    ) -> bool {
        let Memory {
            input,
            more: More::Chains(states),
            ..
        } = memory
        else {
            unreachable!("the memory of another layer");
        };
        let chains = [Some(&self.main), self.side.as_ref()].into_iter().flatten();
        // What `main` has not seen is at the end: without a side, rows stay until they are added.
        let seen = input.len() - (input.received() - states[0].input().received()) as usize;
        let new = &input.rows()[seen * self.main.inputs()..];
        for (chain, state) in chains.zip(&mut *states) {
            state.input().push(new);
            chain.advance(state, context);
        }
        if self.side.is_some() {
            input.consume(input.len());
        }
        let (main, side) = match &mut states[..] {
            [main, side] => (main.output(), side.output()),
            [main] => (main.output(), input),
            _ => unreachable!("the memory of another layer"),
        };
        let rows = main.len().min(side.len()).min(limit);
        if rows == 0 {
            return false;
        }
        let sums = main.rows().iter().zip(side.rows());
        for (out, (main, side)) in out.extend(rows).iter_mut().zip(sums) {
            *out = side + main;
        }
        main.consume(rows);
        side.consume(rows);
        true
    }

    fn finish(&self, memory: &mut Memory) {
        let More::Chains(states) = &mut memory.more else {
            unreachable!("the memory of another layer");
        };
        let chains = [Some(&self.main), self.side.as_ref()].into_iter().flatten();
        for (chain, state) in chains.zip(states) {
            chain.finish(state, &Context::default());
        }
    }
}
