//! Header values: comma lists, parameters, quoting, C-style escapes.
