//! A routes file of any bytes: reading, showing what is wrong and looking up never panic; what was
//! read prints as lines that read the same; each route is found by its condition and by its id, and
//! what is explained is what is looked up.
#![no_main]

use libfuzzer_sys::fuzz_target;
use linchpin::route::explain::Verdict;
use linchpin::route::ids::{Id, Named};
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
        let query = Query { host, path, websocket, secure };
        let found = table.lookup(&query);
        assert!(found.is_some() || route.condition.by_id_only || route.condition.host.is_none());
        // By its id a route is found, unless others have the same.
        let id = Id(route).to_string();
        match table.named(&id) {
            Named::One(number) => assert_eq!(table.route(number), Some(route)),
            Named::Shared => assert!(table.lookup_named(Some(&id), &query, false).is_none()),
            Named::Unknown => panic!("{id:?} is not found"),
        }
        for id in [None, Some(id.as_str())] {
            let verdicts = table.explain(id, &query, true);
            let chosen = verdicts.iter().position(|verdict| *verdict == Verdict::Chosen);
            assert_eq!(chosen, table.lookup_named(id, &query, true));
        }
    }
    let _ = table.to_source();
});
