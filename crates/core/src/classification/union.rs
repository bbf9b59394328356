//! Union-find: which nodes are connected, as edges arrive in any order.

/// Disjoint sets of nodes 0..n; nodes may be added.
#[derive(Debug, Default)]
pub struct Union {
    parents: Vec<u32>,
}

impl Union {
    pub fn of(nodes: u32) -> Self {
        Self { parents: (0..nodes).collect() }
    }

    /// Adds a node that is connected with nothing yet.
    pub fn add(&mut self) -> u32 {
        let node = u32::try_from(self.parents.len()).expect("fewer than 2^32 accounts and identities");
        self.parents.push(node);
        node
    }

    pub fn connect(&mut self, one: u32, other: u32) {
        let (one, other) = (self.root(one), self.root(other));
        // The smaller node is the root, so that the result does not depend on the order of the edges.
        let (parent, child) = if one < other { (one, other) } else { (other, one) };
        self.parents[child as usize] = parent;
    }

    /// The representative of the node's component. Halves the path on its way.
    pub fn root(&mut self, mut node: u32) -> u32 {
        while self.parents[node as usize] != node {
            let grandparent = self.parents[self.parents[node as usize] as usize];
            self.parents[node as usize] = grandparent;
            node = grandparent;
        }
        node
    }

    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.parents.capacity() * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connected_nodes_share_a_root() {
        let mut union = Union::of(4);
        let added = union.add();
        union.connect(3, added);
        union.connect(1, 3);
        assert_eq!([0, 1, 2, 3, 4].map(|node| union.root(node)), [0, 1, 2, 1, 1]);
    }
}
