//! The rules of Farebox: payment states, policy, and the traits behind which rails and ledgers live. No I/O.
