// SPDX-License-Identifier: MIT
//
// A child is queued by its slot, when it is spawned and again when it has ended: the slot's turn in the ready list is
// where the frame is freed (never inside the child's own final suspension) and the policy applied.
#include "weir/coro/group.hpp"

namespace weir {

Group::Group(std::span<Slot> slots, GroupPolicy policy) noexcept
    : slots_(slots), policy_(policy), body_item_(*this) {
    for (Slot& slot : slots_) {
        slot.group = this;
        slot.next_free = free_;
        free_ = &slot;
    }
}

Result<void> Group::spawn(Task<> child, Priority priority) noexcept {
    if (child.hollow()) {
        return failure(context_->frames.refusal("spawn"));
    }
    // When all have been joined the group is over, though the task that awaits it may not have run yet.
    if (scope_.stopped() || over()) return failure(Errc::cancelled, "spawn");
    if (free_ == nullptr) return failure(Errc::no_group_slot, "spawn", 0, slots_.size());
    Slot& slot = *std::exchange(free_, free_->next_free);
    ++live_;
    slot.child = child.release();
    slot.set_priority(priority);
    auto& promise = slot.child.promise();
    promise.set_slot(slot.result);
    promise.bind(*context_, scope_, slot, parent_);
    promise.set_priority(priority);
    context_->ready.push_back(slot);
    return {};
}

// A slot has two turns: the first starts its child, or drops it if the group was stopped meanwhile; the second
// comes when the child has ended. A child that ends in its first turn needs no second.
void Group::run_slot(ReadyItem& item) noexcept {
    auto& slot = static_cast<Slot&>(item);
    Group& group = *slot.group;
    auto& child = slot.child.promise();
    if (!child.started()) {
        if (group.scope_.stopped()) {
            slot.result.emplace(failure(Errc::cancelled, "task"));
        } else {
            group.context_->credit = Context::credit_full;
            group.context_->resumed = child.function();
            if (!child.begin()) return;
        }
    }
    std::exchange(slot.child, nullptr).destroy();
    WEIR_ASSERT(slot.result.has_value());
    if (!*slot.result) group.note(slot.result->error());
    slot.result.reset();
    slot.next_free = std::exchange(group.free_, &slot);
    --group.live_;
    if (group.over()) group.context_->ready.push_front(*group.waiter_);
}

void Group::note(const Error& error) noexcept {
    if (scope_.stopped() && error == Errc::cancelled) return;
    if (policy_.handler != nullptr) {
        policy_.handler(error, policy_.context);
        return;
    }
    if (!error_) error_ = error;
    request_stop();
}

bool Group::start(const Start& start, Task<>::Wait& body) noexcept {
    context_ = &start.context;
    waiter_ = &start.waiter;
    parent_ = &start.task;
    body_ = &body;
    scope_.enter(start.scope);
    body_item_.set_priority(start.waiter.priority());
    if (body.start(Start{start.context, scope_, body_item_, start.task})) end_body();
    return over();
}

void Group::body_ended(ReadyItem& item) noexcept {
    Group& group = static_cast<Body&>(item).group;
    group.end_body();
    if (group.over()) group.context_->ready.push_front(*group.waiter_);
}

void Group::end_body() noexcept {
    body_result_ = body_->take();
    if (*body_result_) return;
    // The first error is the result: what a child says while it is being stopped for this one comes second.
    const Error& error = body_result_->error();
    if (!error_ && !(scope_.stopped() && error == Errc::cancelled)) error_ = error;
    request_stop();
}

void Group::request_stop() noexcept {
    scope_.request_stop();
    root_stop_.begin(*parent_);
}

Result<void> Group::take() noexcept {
    scope_.leave();
    root_stop_.end();
    if (error_) return failure(*error_);  // a child's error stopped the body: the cause is the result
    WEIR_ASSERT(body_result_.has_value());
    return *body_result_;
}

void Group::visit(PendingVisitor& visitor, const Task<>::Wait& body) const noexcept {
    if (!body_result_) visitor.on_pending(body);
    for (const Slot& slot : slots_) {
        if (slot.child) visitor.on_task(slot.child.promise());
    }
}

}  // namespace weir
