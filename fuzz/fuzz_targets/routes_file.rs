//! A routes file of any bytes: reading, showing what is wrong and looking up never panic, and what
//! was read prints as lines that read the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use linchpin::route::{Query, Table};

fuzz_target!(|file: &[u8]| {
    let (table, problems) = Table::parse(file);
    for problem in &problems {
        let _ = problem.report("routes").to_string();
    }
    for route in table.routes() {
        let line = route.to_string();
        // A host with `=` cannot be written as a line: it would read as a property.
        let host = route.condition.host.as_deref().unwrap_or("");
        assert!(!host.contains('='));
        let (again, _) = Table::parse(line.as_bytes());
        let again = again.route(0).expect("a printed route reads");
        assert_eq!((&again.condition, &again.options), (&route.condition, &route.options));
        assert_eq!(again.targets, route.targets);
        let path = route.condition.path_beg.as_deref().unwrap_or("/");
        let websocket = route.condition.websocket.unwrap_or(false);
        let secure = route.condition.secure.unwrap_or(false);
        let found = table.lookup(&Query { host, path, websocket, secure });
        assert!(found.is_some() || route.condition.by_id_only || route.condition.host.is_none());
    }
    let _ = table.to_source();
});
