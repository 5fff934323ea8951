//! From the events of a stream to tokens in a ring, and endpoints and gaps in another.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::consumer::TokenResult;
use super::{Shared, StreamNotice};
use crate::model::Model;
use crate::search::EmittedToken;
use crate::stream::event::StreamEvent;

#[derive(Debug)]
pub(super) struct Outlet {
    ring: rtrb::Producer<TokenResult>,
    /// Tokens that stay and did not fit yet.
    waiting: VecDeque<TokenResult>,
    notices: rtrb::Producer<StreamNotice>,
    /// Notices that wait for the tokens before them, or did not fit yet.
    waiting_notices: VecDeque<StreamNotice>,
    tail: u64,
    shared: Arc<Shared>,
    /// Tokens that nobody was there, or in time, to take.
    pub(super) unheard: u64,
}

impl Outlet {
    pub(super) fn new(
        ring: rtrb::Producer<TokenResult>,
        notices: rtrb::Producer<StreamNotice>,
        shared: Arc<Shared>,
    ) -> Self {
        Outlet {
            ring,
            waiting: VecDeque::new(),
            notices,
            waiting_notices: VecDeque::new(),
            tail: 0,
            shared,
            unheard: 0,
        }
    }

    /// Whether somebody takes tokens.
    pub(super) fn is_heard(&self) -> bool {
        !self.ring.is_abandoned()
    }

    /// Whether tokens or notices wait for room.
    pub(super) fn is_blocked(&self) -> bool {
        !self.waiting.is_empty() || !self.waiting_notices.is_empty()
    }

    /// Puts tokens, and then notices, that wait into their rings; says how many tokens.
    pub(super) fn hand_out(&mut self) -> usize {
        if !self.is_heard() {
            self.unheard += self.waiting.len() as u64;
            self.waiting.clear();
            self.waiting_notices.clear();
            return 0;
        }
        let count = self.ring.slots().min(self.waiting.len());
        for token in self.waiting.drain(..count) {
            self.ring.push(token).ok();
        }
        if self.waiting.is_empty() {
            self.hand_out_notices();
        }
        count
    }

    fn hand_out_notices(&mut self) {
        // Before the ring is looked into: who has not asked by now has taken nothing.
        let is_asked = self.shared.takes_notices.load(Ordering::Acquire);
        let count = self.notices.slots().min(self.waiting_notices.len());
        for notice in self.waiting_notices.drain(..count) {
            self.notices.push(notice).ok();
        }
        if !is_asked {
            let missed = self.waiting_notices.len() as u64;
            self.waiting_notices.clear();
            self.shared
                .missed_notices
                .fetch_add(missed, Ordering::AcqRel);
        }
    }

    /// Takes the events of one step; says how many tokens that stay it could hand out.
    pub(super) fn take(&mut self, events: &[StreamEvent], model: &Model) -> usize {
        if events.contains(&StreamEvent::Tail) {
            self.tail += 1;
        }
        let frame_samples = model.config().samples_per_frame() as u64;
        for event in events {
            if let StreamEvent::Commit(token) = event {
                let token = self.result(token, false, model);
                self.waiting.push_back(token);
            }
            self.waiting_notices
                .extend(StreamNotice::of(event, frame_samples));
        }
        let count = self.hand_out();
        for event in events {
            if let StreamEvent::Volatile(token) = event {
                let token = self.result(token, true, model);
                let has_room = self.waiting.is_empty() && self.is_heard();
                let is_taken = has_room && self.ring.push(token).is_ok();
                self.unheard += u64::from(!is_taken);
            }
        }
        // After its tokens: who reads this number finds them in the ring.
        self.shared.tail.store(self.tail, Ordering::Release);
        count
    }

    /// The stream is over, and every token and notice was handed out.
    pub(super) fn close(&self) {
        self.shared.is_over.store(true, Ordering::Release);
    }

    fn result(&self, token: &EmittedToken, volatile: bool, model: &Model) -> TokenResult {
        TokenResult {
            token_id: token.id,
            text: Arc::clone(model.token_text(token.id)),
            timestamp: token.frame * model.config().samples_per_frame() as u64,
            duration: token.duration,
            confidence: token.confidence,
            volatile,
            tail: self.tail,
        }
    }
}
