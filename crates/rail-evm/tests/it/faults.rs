//! Nodes that hang, lie or forget.


