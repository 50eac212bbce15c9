//! What a rank has sent to others, by step.

/// The bytes of steps, from what a communicator has counted at their beginnings and ends.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SentBytes {
    /// For comparisons of the ranks, which are not of a step.
    compared: u64,
    /// Before the present step, without `compared`.
    before: u64,
    /// The fewest of a step: some exchange more, on request.
    least: Option<u64>,
}

impl SentBytes {
    /// Forgets earlier steps.
    pub(crate) fn restart(&mut self) {
        self.least = None;
    }

    /// A step begins after `sent` bytes.
    pub(crate) fn begin(&mut self, sent: u64) {
        self.before = sent.saturating_sub(self.compared);
    }

    /// The step ends after `sent` bytes.
    pub(crate) fn end(&mut self, sent: u64) {
        let of_step = sent.saturating_sub(self.compared).saturating_sub(self.before);
        self.least = Some(self.least.map_or(of_step, |least| least.min(of_step)));
    }

    /// Leaves out the bytes of a comparison.
    pub(crate) fn leave_out(&mut self, bytes: u64) {
        self.compared += bytes;
    }

    /// The fewest bytes of a step.
    pub(crate) fn least(self) -> Option<u64> {
        self.least
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_of_a_step_are_without_those_of_comparisons_and_of_what_is_between_steps() {
        let mut sent = SentBytes::default();
        sent.begin(100);
        sent.leave_out(30);
        sent.end(140);
        assert_eq!(sent.least(), Some(10));
        // 60 between the steps, and a step that sent more on request.
        sent.begin(200);
        sent.end(250);
        assert_eq!(sent.least(), Some(10));
        sent.restart();
        sent.begin(250);
        sent.end(265);
        assert_eq!(sent.least(), Some(15));
    }
}
