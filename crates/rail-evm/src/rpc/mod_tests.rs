//! Answers of nodes, good and bad.


