//! The table of failures: what each shows the client (specification, routing 3.13).
