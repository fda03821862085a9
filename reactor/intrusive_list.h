// A doubly linked list whose nodes live inside the elements: no allocation, O(1) removal, and a node that is destroyed
// removes itself from its list, so a coroutine frame may be destroyed at any moment. Not shared between cores.
#pragma once
#include <cstddef>

#include "reactor/check.h"

namespace posthaste::reactor {

// Base class of an element. `Tag` lets one element be on several lists: inherit once per tag.
template <class Tag = void>
class ListNode {
 public:
  ListNode() = default;
  ListNode(const ListNode&) = delete;
  ListNode& operator=(const ListNode&) = delete;
  ~ListNode() { unlink(); }

  bool is_linked() const { return next_ != nullptr; }
  void unlink() {
    if (next_ == nullptr) return;
    previous_->next_ = next_;
    next_->previous_ = previous_;
    next_ = previous_ = nullptr;
  }

 private:
  template <class T, class U>
  friend class IntrusiveList;
  ListNode* next_ = nullptr;
  ListNode* previous_ = nullptr;
};

// First-in first-out unless push_front is used. Does not own its elements; on destruction it unlinks them.
template <class T, class Tag = void>
class IntrusiveList {
  using Node = ListNode<Tag>;

 public:
  IntrusiveList() { head_.next_ = head_.previous_ = &head_; }
  IntrusiveList(const IntrusiveList&) = delete;
  IntrusiveList& operator=(const IntrusiveList&) = delete;
  ~IntrusiveList() {
    clear();
    head_.next_ = head_.previous_ = nullptr;
  }

  bool empty() const { return head_.next_ == &head_; }
  T& front() { return element(head_.next_); }  // NOLINT(clang-analyzer-cplusplus.NewDelete): it does not see unlink()
  void push_back(T& value) { insert_before(head_, value); }
  void push_front(T& value) { insert_before(*head_.next_, value); }
  T& pop_front() {
    CHECK(!empty());
    T& value = front();
    static_cast<Node&>(value).unlink();
    return value;
  }
  void clear() {
    while (!empty()) pop_front();
  }
  // Moves all of `other` to our end, in order.
  void splice_back(IntrusiveList& other) {
    while (!other.empty()) push_back(other.pop_front());
  }
  size_t count() const {
    size_t count = 0;
    for (Node* node = head_.next_; node != &head_; node = node->next_) ++count;
    return count;
  }
  // Calls `visit(T&)` for each; the visited element may unlink itself, others may not.
  template <class Visit>
  void for_each(Visit&& visit) {
    for (Node* node = head_.next_; node != &head_;) {
      Node* next = node->next_;
      visit(element(node));
      node = next;
    }
  }

 private:
  static T& element(Node* node) { return static_cast<T&>(*node); }
  void insert_before(Node& position, T& value) {
    Node& node = value;
    CHECK(!node.is_linked());
    node.next_ = &position;
    node.previous_ = position.previous_;
    position.previous_->next_ = &node;
    position.previous_ = &node;
  }
  mutable Node head_;
};

}  // namespace posthaste::reactor
