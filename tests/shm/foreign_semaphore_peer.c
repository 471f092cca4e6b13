/* SPDX-License-Identifier: MIT
 *
 * A program that knows nothing of weir, and uses a POSIX semaphore.
 *
 *     foreign_semaphore_peer NAME post COUNT     gives COUNT tokens
 *     foreign_semaphore_peer NAME wait COUNT     takes COUNT tokens, waiting for each
 */
#include <errno.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char** argv) {
    if (argc != 4) return 2;
    sem_t* semaphore = sem_open(argv[1], 0);
    if (semaphore == SEM_FAILED) return 3;
    for (long left = strtol(argv[3], NULL, 10); left > 0; --left) {
        if (strcmp(argv[2], "post") == 0) {
            if (sem_post(semaphore) != 0) return 4;
        } else {
            while (sem_wait(semaphore) != 0) {
                if (errno != EINTR) return 5;
            }
        }
    }
    return sem_close(semaphore) == 0 ? 0 : 6;
}
