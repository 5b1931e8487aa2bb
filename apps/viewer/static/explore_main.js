/** The entry of the Explore component: one living page part for each element it is mounted in. */

import { Explore } from "./explore.js";
import { Play } from "./explore_play.js";
import { Triple } from "./explore_triple.js";
import { livingParts } from "./living.js";

export const mount = livingParts({ cases: Explore, play: Play, triple: Triple });
