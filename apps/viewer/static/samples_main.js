/** The entry of the Samples component: one living page part for each element it is mounted in. */

import { livingParts } from "./living.js";
import { Course } from "./samples_course.js";
import { Gallery } from "./samples_gallery.js";
import { Reading } from "./samples_reading.js";
import { Walking } from "./samples_walk.js";

export const mount = livingParts({ gallery: Gallery, course: Course, walk: Walking, reading: Reading });
