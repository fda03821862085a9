// An ordered map that is copied in one step: a B+ tree whose nodes are shared until they are written (cow.h). A change
// copies the nodes on one path, log32(n) of them, however many elements there are; the holder of a copy keeps its
// state. One core makes, changes and drops copies; any core may read one that stays alive.
#pragma once
#include <algorithm>
#include <optional>

#include "reactor/cow.h"

namespace posthaste::reactor {

// `KeyOf` says how elements are found: a type View to look up with, a type Key to keep, and view_of() from a
// Value and from a Key. Views are ordered by <. A Value's key does not change while the Value is in the map.
template <class Value, class KeyOf>
class CowMap {
 public:
  using View = typename KeyOf::View;
  using Key = typename KeyOf::Key;

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  // Null when there is none.
  const Value* find(View key) const {
    if (!root_) return nullptr;
    const Node* node = &*root_;
    while (!node->is_leaf()) node = &*node->children[child_for(*node, key)].node;
    const size_t at = value_at(*node, key);
    return is_at(*node, at, key) ? &*node->values[at] : nullptr;
  }

  // The holder of an element that is there, for a change; its nodes are no longer shared then. Null when there is none.
  // Valid until the next change of this map.
  Cow<Value>* find_to_write(View key) {
    if (find(key) == nullptr) return nullptr;
    Node* node = &root_.write();
    while (!node->is_leaf()) node = &node->children[child_for(*node, key)].node.write();
    return &node->values[value_at(*node, key)];
  }

  // False, and nothing is changed, if there is an element of that key.
  bool insert(Cow<Value> value) {
    const View key = KeyOf::view_of(*value);
    if (find(key) != nullptr) return false;
    if (!root_) root_ = Cow<Node>(Node());
    if (std::optional<Child> right = insert_into(root_.write(), std::move(value), key)) {
      Node above;
      above.children.push_back({.least = {}, .node = std::move(root_)});
      above.children.push_back(std::move(*right));
      root_ = Cow<Node>(std::move(above));
    }
    ++size_;
    return true;
  }

  // False if there was no such element.
  bool erase(View key) {
    if (find(key) == nullptr) return false;
    erase_from(root_.write(), key);
    --size_;
    while (root_ && !root_->is_leaf() && root_->children.size() == 1) {
      Cow<Node> only = root_->children.front().node;
      root_ = std::move(only);
    }
    if (size_ == 0) root_ = {};
    return true;
  }

  // Calls visit(const Value&) for each element in order, from the first whose key is not less than `from`, until it
  // returns false.
  template <class Visit>
  void visit_from(View from, Visit visit) const {
    if (root_) walk(*root_, &from, visit);
  }
  template <class Visit>
  void for_each(Visit visit) const {
    auto go_on = [&](const Value& value) {
      visit(value);
      return true;
    };
    if (root_) walk(*root_, nullptr, go_on);
  }

  // For tests: CHECKs the invariants of the tree.
  void check() const {
    if (root_) CHECK(check_node(*root_, 0, depth()) == size_, "{} elements are counted", size_);
  }
  size_t depth() const {
    size_t depth = 0;
    const Node* node = root_ ? &*root_ : nullptr;
    for (; node != nullptr && !node->is_leaf(); ++depth) node = &*node->children.front().node;
    return depth;
  }

 private:
  // Elements or children of one node. Large enough for four levels to hold a million, small enough to copy.
  static constexpr size_t kFanout = 32;
  // Neighbours that together have no more than this are merged, so the number of nodes follows that of the elements.
  static constexpr size_t kMergedMax = kFanout / 2;

  struct Node;
  struct Child {
    Key least;  // no key in it is less; unused in a node's first child, which also gets all smaller keys
    Cow<Node> node;
  };
  // A leaf has values, any other node children, in order.
  struct Node {
    std::vector<Cow<Value>> values;
    std::vector<Child> children;
    bool is_leaf() const { return children.empty(); }
    size_t size() const { return values.size() + children.size(); }
  };

  static size_t child_for(const Node& node, View key) {
    const auto after = std::upper_bound(node.children.begin() + 1, node.children.end(), key,
                                        [](View k, const Child& child) { return k < KeyOf::view_of(child.least); });
    return static_cast<size_t>(after - node.children.begin()) - 1;
  }
  static size_t value_at(const Node& node, View key) {
    const auto at = std::lower_bound(node.values.begin(), node.values.end(), key,
                                     [](const Cow<Value>& value, View k) { return KeyOf::view_of(*value) < k; });
    return static_cast<size_t>(at - node.values.begin());
  }
  static bool is_at(const Node& node, size_t at, View key) {
    return at < node.values.size() && !(key < KeyOf::view_of(*node.values[at]));
  }

  // Returns the part of `node` that has become a node of its own because `node` was full.
  static std::optional<Child> insert_into(Node& node, Cow<Value> value, View key) {
    if (node.is_leaf()) {
      const size_t at = value_at(node, key);
      node.values.insert(node.values.begin() + static_cast<ptrdiff_t>(at), std::move(value));
      if (node.values.size() <= kFanout) return std::nullopt;
      Node right;
      move_half(node.values, right.values);
      Key least(KeyOf::view_of(*right.values.front()));
      return Child{.least = std::move(least), .node = Cow<Node>(std::move(right))};
    }
    const size_t at = child_for(node, key);
    std::optional<Child> split = insert_into(node.children[at].node.write(), std::move(value), key);
    if (!split) return std::nullopt;
    node.children.insert(node.children.begin() + static_cast<ptrdiff_t>(at) + 1, std::move(*split));
    if (node.children.size() <= kFanout) return std::nullopt;
    Node right;
    move_half(node.children, right.children);
    Key least = right.children.front().least;
    return Child{.least = std::move(least), .node = Cow<Node>(std::move(right))};
  }

  template <class Item>
  static void move_half(std::vector<Item>& from, std::vector<Item>& to) {
    const auto middle = from.begin() + static_cast<ptrdiff_t>(from.size() / 2);
    to.assign(std::make_move_iterator(middle), std::make_move_iterator(from.end()));
    from.erase(middle, from.end());
  }

  static void erase_from(Node& node, View key) {
    if (node.is_leaf()) {
      node.values.erase(node.values.begin() + static_cast<ptrdiff_t>(value_at(node, key)));
      return;
    }
    const size_t at = child_for(node, key);
    erase_from(node.children[at].node.write(), key);
    if (node.children[at].node->size() == 0) node.children.erase(node.children.begin() + static_cast<ptrdiff_t>(at));
    merge_if_small(node, at);
    if (at > 0) merge_if_small(node, at - 1);
  }

  // The child at `left` and the one after it.
  static void merge_if_small(Node& node, size_t left) {
    if (left + 1 >= node.children.size()) return;
    Child& right = node.children[left + 1];
    if (node.children[left].node->size() + right.node->size() > kMergedMax) return;
    Node& into = node.children[left].node.write();
    Node& from = right.node.write();
    if (!from.is_leaf()) from.children.front().least = right.least;
    const size_t seam = into.children.size();
    std::ranges::move(from.values, std::back_inserter(into.values));
    std::ranges::move(from.children, std::back_inserter(into.children));
    node.children.erase(node.children.begin() + static_cast<ptrdiff_t>(left) + 1);
    if (seam > 0) merge_if_small(into, seam - 1);
  }

  template <class Visit>
  static bool walk(const Node& node, const View* from, Visit& visit) {
    size_t at = from == nullptr ? 0 : node.is_leaf() ? value_at(node, *from) : child_for(node, *from);
    for (; at < node.values.size(); ++at) {
      if (!visit(*node.values[at])) return false;
    }
    for (; at < node.children.size(); ++at, from = nullptr) {
      if (!walk(*node.children[at].node, from, visit)) return false;
    }
    return true;
  }

  // Elements below `node`.
  static size_t check_node(const Node& node, size_t level, size_t depth) {
    CHECK(node.size() > 0 && node.size() <= kFanout, "a node of {}", node.size());
    CHECK(node.is_leaf() == (level == depth) && (node.values.empty() || node.is_leaf()), "a leaf at {}", level);
    size_t count = node.values.size();
    for (size_t i = 0; i + 1 < node.children.size(); ++i) {
      const size_t both = node.children[i].node->size() + node.children[i + 1].node->size();
      CHECK(both > kMergedMax, "two small neighbours, {} together", both);
    }
    for (const Child& child : node.children) count += check_node(*child.node, level + 1, depth);
    return count;
  }

  Cow<Node> root_;
  size_t size_ = 0;
};

}  // namespace posthaste::reactor
