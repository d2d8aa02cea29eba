// A list that may be longer than what one refresh reads: read on at each refresh, to its end, and then anew.
import { list, object, text } from "./json.js";

const PAGES_A_REFRESH = 6;

/**
 * The items of a paged list. `page(next, signal)` fetches one; `items` is the name of its list, `id` that of an item's key.
 * `whole` is false until the list was read to its end once: nobody can say what is not in it before.
 */
export class Sweep {
  constructor(page, items, id) {
    [this.page, this.items, this.id] = [page, items, id];
    [this.before, this.now, this.next] = [new Map(), new Map(), ""];
    this.whole = false;
  }

  /** Read the first page, and on from where the last refresh stopped; return what is known of the list. */
  async read(signal) {
    const newest = await this.page("", signal);
    const first = this.mapped(newest);
    if (!this.next) [this.now, this.next] = [new Map(first), text(newest.next)];
    for (let pages = 1; this.next && pages < PAGES_A_REFRESH; pages += 1) {
      const token = this.next;
      this.next = ""; // where it fails, the next refresh begins anew
      const answer = await this.page(token, signal);
      for (const [key, one] of this.mapped(answer)) this.now.set(key, one);
      this.next = text(answer.next);
    }
    if (!this.next) [this.before, this.whole] = [this.now, true];
    return { found: [...new Map([...this.before, ...this.now, ...first]).values()], whole: this.whole };
  }

  mapped(answer) {
    return new Map(list(answer[this.items]).map(object).map((one) => [text(one[this.id]), one]));
  }
}
