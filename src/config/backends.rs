//! What may be set about the way to backends, as meant; the command line fills it, `backend` and
//! the proxy read it.

pub use crate::backend::Settings as Backends;
use crate::limits::BACKEND_IDLE_CONNECTIONS_MIN;

/// The part of each worker: of the requests under way, and of the idle connections, of which there
/// are a tenth of the clients (specification, routing 3.9).
#[must_use]
pub fn of_each(backends: &Backends, workers: usize, clients_max: usize) -> Backends {
    let workers = workers.max(1);
    Backends {
        open_max: backends.open_max.min(clients_max).div_ceil(workers),
        idle_all_max: clients_max.div_ceil(10 * workers).max(BACKEND_IDLE_CONNECTIONS_MIN),
        ..backends.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        let parts = |open_max, workers, clients_max| {
            let all = Backends { open_max, ..Backends::default() };
            let part = of_each(&all, workers, clients_max);
            (part.open_max, part.idle_all_max)
        };
        assert_eq!(parts(usize::MAX, 4, 50_000), (12_500, 1250));
        assert_eq!(parts(10, 4, 50_000), (3, 1250));
        assert_eq!(parts(100, 0, 4), (4, BACKEND_IDLE_CONNECTIONS_MIN));
    }
}
