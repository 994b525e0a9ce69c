//! Which target, and which after what failure; no backend is asked.

use super::*;
use crate::backend::error::{Kind, Stage};
use crate::forward::context::RouteRef;
use crate::forward::tests::{Company, context, route, run};

fn closed(reused: bool) -> Error {
    Error { reused, ..Error::new(Stage::Head, Kind::Closed, "") }
}

fn refused() -> Error {
    Error::new(Stage::Connect, Kind::Refused, "")
}

/// A company that knows some routes.
struct Scene {
    company: Company,
    context: Context,
    route: RouteRef,
}

impl Scene {
    fn new(line: &str) -> Scene {
        Scene { company: Company::new(), context: context("/", None), route: route(line) }
    }

    fn seeker(&self) -> Seeker<'_> {
        Seeker { shared: &self.company.shared, context: &self.context, route: &self.route }
    }

    fn first(&self) -> usize {
        Choice::default().next(&self.seeker()).unwrap()
    }

    /// The target fails so often that it is ill.
    fn fell(&self, index: usize) {
        for _ in 0..3 {
            let target = &self.route.targets[index];
            let to = outgoing::destination(target, "example.com").unwrap().to_destination();
            let health = self.company.shared.backend.health();
            health.failed(&Rc::new(to), &refused(), clock::now());
        }
    }
}

#[test]
fn targets_are_tried_in_order_each_once() {
    run(async {
        let scene = Scene::new("* a:1 b:2 c:3");
        let seeker = scene.seeker();
        let mut choice = Choice::default();
        for index in 0..3 {
            assert_eq!(choice.next(&seeker), Some(index));
            let step = choice.failed(&seeker, index, &refused(), false, true);
            assert_eq!(step, if index < 2 { Step::GoOn } else { Step::Exhausted });
        }
        assert_eq!(choice.next(&seeker), None);
        assert_eq!(choice.tried(&scene.route), ["a:1", "b:2", "c:3"]);
        assert_eq!(scene.company.shared.stats.backend_next_targets.get(), 2);
    });
}

#[test]
fn a_closed_pooled_connection_is_replaced() {
    run(async {
        let scene = Scene::new("* a:1 b:2");
        let seeker = scene.seeker();
        let mut choice = Choice::default();
        assert_eq!(choice.next(&seeker), Some(0));
        assert!(choice.may_reuse());
        assert_eq!(choice.failed(&seeker, 0, &closed(true), true, true), Step::GoOn);
        assert_eq!((choice.next(&seeker), choice.may_reuse()), (Some(0), false));
        assert_eq!(choice.failed(&seeker, 0, &refused(), true, true), Step::GoOn);
        assert_eq!((choice.next(&seeker), choice.may_reuse()), (Some(1), true));
        // What cannot be made twice, or cannot be had twice, is not.
        for (twice, whole) in [(false, true), (true, false)] {
            let mut choice = Choice::default();
            choice.next(&seeker);
            assert_eq!(choice.failed(&seeker, 0, &closed(true), twice, whole), Step::Stop);
        }
    });
}

#[test]
fn what_breaks_off_without_a_word_is_asked_for_once_more() {
    run(async {
        for (line, then) in [("* a:1 b:2 c:3", (1, true)), ("* a:1", (0, false))] {
            let scene = Scene::new(line);
            let seeker = scene.seeker();
            let mut choice = Choice::default();
            choice.next(&seeker);
            assert_eq!(choice.failed(&seeker, 0, &closed(false), true, true), Step::GoOn);
            assert_eq!((choice.next(&seeker), choice.may_reuse()), (Some(then.0), then.1));
            assert_eq!(choice.failed(&seeker, then.0, &closed(false), true, true), Step::Stop);
        }
    });
}

#[test]
fn what_the_last_one_breaks_off_goes_round_once_more() {
    run(async {
        let scene = Scene::new("* a:1 b:2");
        let seeker = scene.seeker();
        let mut choice = Choice::default();
        choice.next(&seeker);
        choice.failed(&seeker, 0, &refused(), true, true);
        assert_eq!(choice.next(&seeker), Some(1));
        assert_eq!(choice.failed(&seeker, 1, &closed(false), true, true), Step::GoOn);
        assert_eq!(choice.next(&seeker), Some(0));
        assert_eq!(choice.failed(&seeker, 0, &refused(), true, true), Step::Exhausted);
    });
}

#[test]
fn who_is_ill_is_asked_last() {
    run(async {
        let scene = Scene::new("* a:1 b:2 c:3");
        scene.fell(0);
        assert_eq!(scene.first(), 1);
        scene.fell(1);
        assert_eq!(scene.first(), 2);
        let seeker = scene.seeker();
        let mut choice = Choice::default();
        choice.next(&seeker);
        choice.failed(&seeker, 2, &refused(), true, true);
        assert_eq!(choice.next(&seeker), Some(0), "rather than none");
        scene.fell(2);
        assert_eq!(scene.first(), 0, "all are");
    });
}

#[test]
fn balancing_takes_turns_and_goes_on_in_order() {
    run(async {
        let scene = Scene::new("*,balance=round-robin a:1 b:2 c:3");
        let seeker = scene.seeker();
        let mut choice = Choice::default();
        let first = choice.next(&seeker).unwrap();
        choice.failed(&seeker, first, &refused(), true, true);
        assert_eq!(choice.next(&seeker), Some((first + 1) % 3));
        let second = scene.first();
        assert_eq!((second, scene.first()), ((first + 1) % 3, (first + 2) % 3));
        scene.fell(0);
        let counts = (0..6).map(|_| scene.first()).collect::<Vec<_>>();
        assert!(!counts.contains(&0) && counts.contains(&1) && counts.contains(&2));
    });
}

#[test]
fn the_least_loaded_is_first() {
    run(async {
        let scene = Scene::new("*,balance=least a:1 b:2 c:3");
        let seeker = scene.seeker();
        let mut under_way = Vec::new();
        let mut counts = [0; 3];
        for _ in 0..9 {
            let mut choice = Choice::default();
            let index = choice.next(&seeker).unwrap();
            counts[index] += 1;
            under_way.push((index, choice.load(index)));
        }
        assert_eq!(counts, [3, 3, 3]);
        under_way.retain(|(index, _)| *index != 1);
        assert_eq!([scene.first(), scene.first()], [1, 1]);
    });
}

#[test]
fn time_is_shared_and_attempts_are_bounded() {
    run(async {
        let scene = Scene::new("* a:1 b:2 c:3");
        let seeker = scene.seeker();
        let all_ms = scene.company.shared.backend.settings().connect_ms;
        let mut choice = Choice::default();
        choice.next(&seeker);
        let share = choice.connect_ms(&seeker);
        assert!(share <= all_ms / 3 && share > all_ms / 4, "{share}");
        choice.failed(&seeker, 0, &refused(), true, true);
        choice.failed(&seeker, 1, &refused(), true, true);
        assert!(choice.connect_ms(&seeker) > all_ms - 1000);
    });
}
