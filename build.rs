//! The shipped scenarios are part of the program: a new or changed file makes it anew.

fn main() {
    println!("cargo::rerun-if-changed=scenarios");
}
