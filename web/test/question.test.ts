import assert from "node:assert/strict";
import { test } from "node:test";
import { Question } from "../src/ui/question.tsx";
import { settle } from "./clock.ts";

function setUp(about: unknown = "recording") {
  const frame = {
    open: false,
    showModal() {
      assert.equal(this.open, false, "browsers refuse to open what is open");
      this.open = true;
    },
    close() {
      this.open = false;
    },
  };
  const question = new Question();
  question.frame(frame);
  question.follow(about);
  let end: { done(): void; fail(): void } = { done: () => {}, fail: () => {} };
  let orders = 0;
  const order = () => {
    orders++;
    return new Promise<void>((resolve, reject) => {
      end = { done: resolve, fail: () => reject(new Error("no network")) };
    });
  };
  const finish = async (how: "done" | "fail") => {
    end[how]();
    await settle();
  };
  return { frame, question, order, finish, orders: () => orders };
}

test("a question closes when its answer is carried out", async () => {
  const { frame, question, order, finish, orders } = setUp();
  question.ask();
  void question.act(order);
  void question.act(order);
  assert.deepEqual([frame.open, question.busy.value, orders()], [true, true, 1]);
  await finish("done");
  assert.deepEqual([frame.open, question.busy.value, question.failed.value], [false, false, false]);
});

test("what fails is said in the question, which is opened for it when it is not open", async () => {
  const { frame, question, order, finish } = setUp();
  void question.act(order); // by a button that asks nothing
  await finish("fail");
  assert.deepEqual([frame.open, question.busy.value, question.failed.value], [true, false, true]);
  void question.act(order);
  question.close(); // somebody is impatient
  await finish("fail");
  assert.deepEqual([frame.open, question.failed.value], [true, true]);
  question.close();
  question.ask();
  assert.equal(question.failed.value, false, "what went wrong before is not said again");
});

test("what has come to pass meanwhile is not asked any more, although its answer was lost", async () => {
  const { frame, question, order, finish } = setUp();
  question.ask();
  void question.act(order);
  question.follow("paused");
  assert.equal(frame.open, false);
  await finish("fail");
  assert.deepEqual([frame.open, question.busy.value, question.failed.value], [false, false, false]);
});
