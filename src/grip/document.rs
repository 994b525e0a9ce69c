//! `application/grip-instruct` documents.
