/* A client of libmimo_vl that opens a thousand sessions: memory does not grow.
 *
 *     endurance CHECKPOINT PICTURE */
#include "check.h"

enum { FIRST = 50, SESSIONS = 1000, MOST_PAGES = 1024 };

/* Memory of the process in pages; 0 where the system does not tell. */
static long pages(void) {
    long whole = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL) {
        return 0;
    }
    if (fscanf(file, "%ld %ld", &whole, &resident) != 2) {
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
    mimo_vl_model *model = load();
    mimo_vl_generate_options *options = at_most(1);
    OK(mimo_vl_image_from_path(picture, &image, &error));
    for (int number = 0; number < FIRST + SESSIONS; number++) {
        mimo_vl_session *session = open_session(model);
        /* Each way to leave a session in turn: answered, given up, failed, and not used. */
        mimo_vl_prompt *prompt = number % 4 == 3 ? mimo_vl_prompt_new_user() : ask_about(number % 8 == 0 ? image : NULL);
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
        if (number == FIRST) {
            before = pages();
        }
    }
/* The sanitizer keeps what was freed for a while. */
#ifndef __SANITIZE_ADDRESS__
    if (pages() - before >= MOST_PAGES) {
        fprintf(stderr, "%ld pages became %ld\n", before, pages());
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
