//! Whether all that a sequencer keeps twice agrees: for tests and fuzzing.

use super::Sequencer;

impl Sequencer {
    /// Checks that all that is kept twice agrees. For tests and fuzzing: it looks at everything.
    ///
    /// # Panics
    /// When it does not.
    pub fn verify(&self) {
        let (mut waiting, mut kept, mut lingers) = ((0, 0), 0, 0);
        for at in self.known.places() {
            let Some(sequence) = self.known.get(at) else { continue };
            assert_eq!(self.known.find(&sequence.name), Some(at));
            assert!(!sequence.is_blank());
            let (items, bytes) = sequence.pending.verify();
            waiting = (waiting.0 + items, waiting.1 + bytes);
            kept += self.shelf.verify(&sequence.ring, at);
            if let Some(linger) = sequence.linger {
                lingers += 1;
                assert!(self.lingers.knows(linger, at));
            }
        }
        assert_eq!((self.waits.load(), self.lingers.len()), (waiting, lingers));
        assert_eq!(self.shelf.load().0, kept);
    }
}
