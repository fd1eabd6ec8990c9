//! All printing goes through here: stdout is data, stderr is talk.
