//! How long it takes to make the head that a target gets: a browser's request through the whole
//! header pipeline, by default and with all that an operator may set.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};

#[path = "counted/heading.rs"]
mod heading;

fn benches(criterion: &mut Criterion) {
    for (name, written) in heading::kinds() {
        let written = written();
        criterion.bench_function(name, |bencher| bencher.iter(|| black_box(&written).write()));
    }
}

criterion_group!(group, benches);
criterion_main!(group);
