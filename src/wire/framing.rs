//! The strict reader of request heads that stands before hyper.

pub struct HeadGuard;
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct Violation {
    pub offset: usize,
}
impl Violation {
    pub fn status(&self) -> u16 {
        400
    }
}
impl HeadGuard {
    pub fn new(_: usize) -> Self {
        HeadGuard
    }
    pub fn feed(&mut self, _: &[u8]) -> Result<(), Violation> {
        Ok(())
    }
}
