//! Compiles the routes file into the binary (filled in by the route compiler).
fn main() {
    println!("cargo::rerun-if-changed=routes");
}
