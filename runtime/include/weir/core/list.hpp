// SPDX-License-Identifier: MIT
//
// An intrusive, circular, doubly linked list.
//
// The links live in the objects, so linking never allocates and unlinking needs no list. A linked object is
// pinned: ListNode can neither be copied nor moved, and asserts when it dies linked. An object that is in
// two lists at once has two bases with different tags.
#pragma once

#include "weir/core/assert.hpp"

namespace weir {

template <class Tag>
class List;

template <class Tag = void>
class ListNode {
public:
    constexpr ListNode() noexcept = default;
    ListNode(const ListNode&) = delete;
    ListNode& operator=(const ListNode&) = delete;
    ~ListNode() { WEIR_ASSERT(!linked()); }

    [[nodiscard]] bool linked() const noexcept { return next_ != nullptr; }

    void unlink() noexcept {
        WEIR_ASSERT(linked());
        previous_->next_ = next_;
        next_->previous_ = previous_;
        next_ = previous_ = nullptr;
    }

private:
    template <class>
    friend class List;
    ListNode* next_ = nullptr;
    ListNode* previous_ = nullptr;
};

/// A list of objects of which each has a ListNode<Tag> base. Owns nothing; asserts that it dies empty.
template <class Tag = void>
class List {
public:
    using Node = ListNode<Tag>;

    constexpr List() noexcept = default;
    List(const List&) = delete;
    List& operator=(const List&) = delete;
    ~List() {
        WEIR_ASSERT(empty());
        head_.next_ = head_.previous_ = nullptr;
    }

    [[nodiscard]] bool empty() const noexcept { return head_.next_ == nullptr || head_.next_ == &head_; }

    void push_back(Node& node) noexcept { insert_before(head(), node); }
    void push_front(Node& node) noexcept { insert_before(*head().next_, node); }

    [[nodiscard]] Node& front() noexcept {
        WEIR_ASSERT(!empty());
        return *head_.next_;
    }

    Node& pop_front() noexcept {
        Node& node = front();
        node.unlink();
        return node;
    }

    /// Calls visit(Node&) on each in order; the visited node may be unlinked by the call, others may not.
    template <class F>
    void for_each(F&& visit) {
        if (empty()) return;
        for (Node* node = head_.next_; node != &head_;) {
            Node* const next = node->next_;
            visit(*node);
            node = next;
        }
    }

private:
    // The head links to itself from its first use on, which keeps the constructor constexpr-friendly and
    // an unused list all zero bytes.
    Node& head() noexcept {
        if (head_.next_ == nullptr) head_.next_ = head_.previous_ = &head_;
        return head_;
    }
    static void insert_before(Node& position, Node& node) noexcept {
        WEIR_ASSERT(!node.linked());
        node.next_ = &position;
        node.previous_ = position.previous_;
        position.previous_->next_ = &node;
        position.previous_ = &node;
    }

    Node head_;
};

}  // namespace weir
