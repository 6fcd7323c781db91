/* A client of libmimo_vl that opens 1000 sessions: its memory must not grow.
 *
 *     endurance CHECKPOINT IMAGE */
#include "check.h"

enum { WARM_UP = 50, SESSIONS = 1000, MAX_PAGES = 1024 };

/* Resident memory of the process in pages; 0 if the system does not report it. */
static long resident_pages(void) {
    long size = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL) {
        return 0;
    }
    if (fscanf(file, "%ld %ld", &size, &resident) != 2) {
        resident = 0;
    }
    fclose(file);
    return resident;
}

int main(int count, char **arguments) {
    mimo_vl_error *error = NULL;
    mimo_vl_image *image;
    long before = 0;
    read_arguments(count, arguments);
    mimo_vl_model *model = load_model();
    mimo_vl_generate_options *options = max_tokens(1);
    OK(mimo_vl_image_from_path(image_path, &image, &error));
    for (int number = 0; number < WARM_UP + SESSIONS; number++) {
        mimo_vl_session *session = new_session(model);
        /* Each way to leave a session: answered, stream dropped, unused, failed. */
        mimo_vl_prompt *prompt =
            number % 4 == 3 ? mimo_vl_prompt_new_user() : new_prompt(number % 8 == 0 ? image : NULL);
        mimo_vl_answer *answer;
        mimo_vl_stream *stream;
        if (number % 4 == 0) {
            OK(mimo_vl_session_ask(session, prompt, options, &answer, &error));
            mimo_vl_answer_free(answer);
        } else if (number % 4 == 1) {
            OK(mimo_vl_session_stream(session, prompt, options, &stream, &error));
            mimo_vl_stream_free(stream);
        } else if (number % 4 == 3) {
            FAILS(mimo_vl_session_ask(session, prompt, options, &answer, &error), MIMO_VL_STATUS_PROMPT, "empty");
        }
        mimo_vl_prompt_free(prompt);
        mimo_vl_session_free(session);
        if (number == WARM_UP) {
            before = resident_pages();
        }
    }
/* The address sanitizer holds freed memory for a while. */
#ifndef __SANITIZE_ADDRESS__
    if (resident_pages() - before >= MAX_PAGES) {
        fprintf(stderr, "memory grew from %ld to %ld pages\n", before, resident_pages());
        return 1;
    }
#else
    (void)before;
#endif
    mimo_vl_image_free(image);
    mimo_vl_generate_options_free(options);
    mimo_vl_model_free(model);
    return 0;
}
