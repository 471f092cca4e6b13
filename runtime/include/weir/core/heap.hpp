// SPDX-License-Identifier: MIT
//
// An intrusive pairing heap.
//
// push and the look at the smallest are O(1), pop and remove O(log n) amortised, and nothing is allocated:
// each object carries three links. Among equal keys no order is promised. The algorithm is Fredman, Sedgewick,
// Sleator and Tarjan, "The pairing heap", Algorithmica 1 (1986), with two-pass merging done in a loop so that
// the stack stays flat.
#pragma once

#include "weir/core/assert.hpp"

#include <utility>

namespace weir {

class HeapNode {
public:
    constexpr HeapNode() noexcept = default;
    HeapNode(const HeapNode&) = delete;
    HeapNode& operator=(const HeapNode&) = delete;

private:
    template <class, class>
    friend class Heap;
    friend class TimerWheel;  // a timer is in the heap or in a bucket, never both: one set of links serves
    HeapNode* child_ = nullptr;
    HeapNode* sibling_ = nullptr;
    union {
        HeapNode* previous_ = nullptr;  // in the heap: the left sibling, or the parent for a first child
        HeapNode** holder_;             // in a bucket: the pointer that points here
    };
};

/// A min-heap of T, which derives from HeapNode; Less(const T&, const T&) orders them. Owns nothing. Its
/// user must know which objects are in it.
template <class T, class Less>
class Heap {
public:
    constexpr Heap() noexcept = default;
    [[nodiscard]] bool empty() const noexcept { return root_ == nullptr; }
    [[nodiscard]] T& top() const noexcept {
        WEIR_ASSERT(root_ != nullptr);
        return *static_cast<T*>(root_);
    }

    void push(T& item) noexcept {
        HeapNode& node = item;
        node.child_ = node.sibling_ = node.previous_ = nullptr;
        root_ = root_ == nullptr ? &node : meld(root_, &node);
    }

    T& pop() noexcept {
        T& smallest = top();
        root_ = merge_pairs(root_->child_);
        return smallest;
    }

    void remove(T& item) noexcept {
        HeapNode* const node = &item;
        if (node == root_) {
            pop();
            return;
        }
        WEIR_ASSERT(node->previous_ != nullptr);
        if (node->previous_->child_ == node) {
            node->previous_->child_ = node->sibling_;
        } else {
            node->previous_->sibling_ = node->sibling_;
        }
        if (node->sibling_ != nullptr) node->sibling_->previous_ = node->previous_;
        HeapNode* const orphans = merge_pairs(node->child_);
        if (orphans != nullptr) root_ = meld(root_, orphans);
    }

private:
    static bool less(const HeapNode* left, const HeapNode* right) noexcept {
        return Less{}(*static_cast<const T*>(left), *static_cast<const T*>(right));
    }

    static HeapNode* meld(HeapNode* left, HeapNode* right) noexcept {
        if (less(right, left)) std::swap(left, right);
        right->previous_ = left;
        right->sibling_ = left->child_;
        if (right->sibling_ != nullptr) right->sibling_->previous_ = right;
        left->child_ = right;
        left->sibling_ = nullptr;
        left->previous_ = nullptr;
        return left;
    }

    static HeapNode* merge_pairs(HeapNode* first) noexcept {
        HeapNode* melded = nullptr;  // a stack of melded pairs, linked by sibling_
        while (first != nullptr) {
            HeapNode* const second = first->sibling_;
            HeapNode* const rest = second != nullptr ? second->sibling_ : nullptr;
            first->sibling_ = first->previous_ = nullptr;
            HeapNode* pair = first;
            if (second != nullptr) {
                second->sibling_ = second->previous_ = nullptr;
                pair = meld(first, second);
            }
            pair->sibling_ = melded;
            melded = pair;
            first = rest;
        }
        HeapNode* root = nullptr;
        while (melded != nullptr) {
            HeapNode* const next = melded->sibling_;
            melded->sibling_ = nullptr;
            root = root == nullptr ? melded : meld(root, melded);
            melded = next;
        }
        return root;
    }

    HeapNode* root_ = nullptr;
};

}  // namespace weir
