/* MiMo-VL for C++17: the functions of mimo_vl.h as classes. Header only; link with libmimo_vl.
 *
 *     mimo_vl::Model model("path/to/checkpoint");
 *     mimo_vl::Session session(model);
 *     mimo_vl::Prompt prompt;
 *     prompt.add(mimo_vl::Image::open("photo.jpg")).add("What is on the table?");
 *     for (const mimo_vl::Event &event : session.stream(prompt)) std::cout << event.text;
 *
 * - Every class owns its handle and frees it; it can be moved and not copied. An object that was moved from can only be
 *   destroyed or assigned to.
 * - A call that fails throws mimo_vl::Error with the status and the message of the library.
 * - A std::string_view is valid as long as the object it was read from.
 * - Threads: several threads may call const members of an object at the same time; all others need exclusive use. */
#ifndef MIMO_VL_HPP
#define MIMO_VL_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mimo_vl.h"

namespace mimo_vl {

/* Error of a failed call. */
class Error : public std::runtime_error {
public:
    Error(mimo_vl_status code, const std::string &message) : std::runtime_error(message), code_(code) {}
    mimo_vl_status code() const noexcept { return code_; }

private:
    mimo_vl_status code_;
};

namespace detail {

inline std::string_view view(const mimo_vl_str &text) { return {text.data, text.len}; }

/* The exception that a callback threw during the present call of this thread: it must not pass through the library. */
inline std::exception_ptr &thrown() noexcept {
    thread_local std::exception_ptr thrown;
    return thrown;
}

/* Throws what a callback threw during the call that has just returned. */
inline void rethrow() {
    if (std::exception_ptr exception = std::exchange(thrown(), nullptr)) std::rethrow_exception(exception);
}

/* Throws the error of a failed call. */
inline void check(mimo_vl_status status, mimo_vl_error *error) {
    if (status == MIMO_VL_STATUS_OK) return;
    std::unique_ptr<mimo_vl_error, decltype(&mimo_vl_error_free)> owned(error, mimo_vl_error_free);
    rethrow();
    mimo_vl_str message;
    mimo_vl_error_message(owned.get(), &message);
    throw Error(status, std::string(view(message)));
}

template <auto Free> struct Deleter {
    template <typename T> void operator()(T *handle) const noexcept { Free(handle); }
};

template <typename T, auto Free> using Handle = std::unique_ptr<T, Deleter<Free>>;

/* Calls a function whose last parameters are a new handle and the error. */
template <typename T, typename Function, typename... Arguments>
T *make(Function function, Arguments... arguments) {
    T *handle = nullptr;
    mimo_vl_error *error = nullptr;
    mimo_vl_status status = function(arguments..., &handle, &error);
    check(status, error);
    return handle;
}

template <typename Function, typename... Arguments> void run(Function function, Arguments... arguments) {
    mimo_vl_error *error = nullptr;
    mimo_vl_status status = function(arguments..., &error);
    check(status, error);
}

template <typename T, typename Reader> std::optional<std::string_view> maybe(const T *object, Reader reader) {
    mimo_vl_str text;
    if (!reader(object, &text)) return std::nullopt;
    return view(text);
}

/* Base of a class `Self` that owns a handle. */
template <typename Self, typename T, auto Free> class Object {
public:
    T *get() const noexcept { return handle_.get(); }

protected:
    explicit Object(T *handle) : handle_(handle) {}

    /* Calls a setter of the handle, for chains. */
    template <typename Function, typename... Arguments> Self &set(Function function, Arguments... arguments) {
        run(function, get(), arguments...);
        return static_cast<Self &>(*this);
    }

private:
    Handle<T, Free> handle_;
};

} // namespace detail

/* Cancels the calls whose options have it, from any thread or signal handler. It may be destroyed meanwhile. */
class CancelToken : public detail::Object<CancelToken, mimo_vl_cancel_token, mimo_vl_cancel_token_free> {
public:
    CancelToken() : Object(mimo_vl_cancel_token_new()) {}
    /* Calls that run, and those that start later, throw an Error with MIMO_VL_STATUS_CANCELLED. */
    void cancel() const noexcept { mimo_vl_cancel_token_cancel(get()); }
    bool is_cancelled() const noexcept { return mimo_vl_cancel_token_is_cancelled(get()); }
};

/* Receives `done` of `total` units of a stage; returns false to cancel this call. An exception cancels it, too, and is
 * thrown to the caller. */
using Progress = std::function<bool(mimo_vl_stage stage, uint64_t done, uint64_t total)>;

namespace detail {

/* Calls the caller's function, which is at `data`. */
inline int32_t report(void *data, mimo_vl_stage stage, uint64_t done, uint64_t total) noexcept {
    try {
        return (*static_cast<const Progress *>(data))(stage, done, total) ? MIMO_VL_CONTINUE : MIMO_VL_CANCEL;
    } catch (...) {
        thrown() = std::current_exception();
        return MIMO_VL_CANCEL;
    }
}

/* Base of the options `Self` of calls that may take long. */
template <typename Self, typename T, auto Free, auto SetCancel, auto SetTimeout, auto SetProgress>
class CallOptions : public Object<Self, T, Free> {
public:
    Self &cancel(const CancelToken &token) { return this->set(SetCancel, token.get()); }
    Self &timeout(double seconds) { return this->set(SetTimeout, seconds); }
    Self &on_progress(Progress progress) {
        auto function = std::make_shared<Progress>(std::move(progress));
        this->set(SetProgress, *function ? report : nullptr, static_cast<void *>(function.get()));
        progress_ = std::move(function);
        return static_cast<Self &>(*this);
    }

protected:
    using Object<Self, T, Free>::Object;

    /* The function, which must outlive the calls with these options. */
    std::shared_ptr<Progress> progress_;
};

} // namespace detail

/* Decoded image. */
class Image : public detail::Object<Image, mimo_vl_image, mimo_vl_image_free> {
public:
    explicit Image(mimo_vl_image *handle) : Object(handle) {}

    static Image open(const std::string &path) {
        return Image(detail::make<mimo_vl_image>(mimo_vl_image_from_path, path.c_str()));
    }
    static Image decode(const void *data, size_t len) {
        return Image(detail::make<mimo_vl_image>(mimo_vl_image_from_bytes, static_cast<const uint8_t *>(data), len));
    }
    /* Copies `len` bytes at `pixels`. */
    static Image from_pixels(mimo_vl_pixel_format format, uint32_t width, uint32_t height, size_t stride,
                             const uint8_t *pixels, size_t len) {
        return Image(detail::make<mimo_vl_image>(mimo_vl_image_from_pixels, static_cast<int32_t>(format), width, height,
                                                 stride, pixels, len));
    }
    /* Takes over RGB pixels without a copy: rows from the top, 3 bytes per pixel, no padding. */
    static Image from_rgb_owned(uint32_t width, uint32_t height, std::vector<uint8_t> pixels) {
        auto owned = std::make_unique<std::vector<uint8_t>>(std::move(pixels));
        const mimo_vl_release_callback release = [](void *data) { delete static_cast<std::vector<uint8_t> *>(data); };
        Image image(detail::make<mimo_vl_image>(mimo_vl_image_from_borrowed_rgb, width, height,
                                                static_cast<const uint8_t *>(owned->data()), owned->size(), release,
                                                static_cast<void *>(owned.get())));
        owned.release();
        return image;
    }

    Image crop(uint32_t left, uint32_t top, uint32_t width, uint32_t height) const {
        return Image(detail::make<mimo_vl_image>(mimo_vl_image_crop, get(), left, top, width, height));
    }
    /* The part around a point, `zoom` times smaller on each side; regions stay in pixels of the uncropped image. */
    Image zoom_crop(double x, double y, double zoom) const {
        return Image(detail::make<mimo_vl_image>(mimo_vl_image_zoom_crop, get(), x, y, zoom));
    }
    Image &min_pixels(uint32_t pixels) { return set(mimo_vl_image_set_min_pixels, pixels); }
    Image &max_pixels(uint32_t pixels) { return set(mimo_vl_image_set_max_pixels, pixels); }
    uint32_t width() const noexcept { return mimo_vl_image_width(get()); }
    uint32_t height() const noexcept { return mimo_vl_image_height(get()); }
    /* RGB pixels: rows from the top, 3 bytes per pixel, no padding. */
    const uint8_t *pixels() const noexcept { return mimo_vl_image_pixels(get()); }
    void write_png(const std::string &path) const { detail::run(mimo_vl_image_write_png, get(), path.c_str()); }
};

/* Options of decoding a video file. */
class VideoOptions
    : public detail::CallOptions<VideoOptions, mimo_vl_video_options, mimo_vl_video_options_free,
                                 mimo_vl_video_options_set_cancel, mimo_vl_video_options_set_timeout,
                                 mimo_vl_video_options_set_progress> {
public:
    VideoOptions() : CallOptions(mimo_vl_video_options_new()) {}
    VideoOptions &fps(double fps) { return set(mimo_vl_video_options_set_fps, fps); }
    VideoOptions &frames(size_t frames) { return set(mimo_vl_video_options_set_frames, frames); }
    VideoOptions &frame_limits(size_t min_frames, size_t max_frames) {
        return set(mimo_vl_video_options_set_frame_limits, min_frames, max_frames);
    }
    VideoOptions &span(double start, double end) { return set(mimo_vl_video_options_set_span, start, end); }
    VideoOptions &total_pixels(uint64_t pixels) { return set(mimo_vl_video_options_set_total_pixels, pixels); }
    VideoOptions &max_pixels(uint32_t pixels) { return set(mimo_vl_video_options_set_max_pixels, pixels); }
    VideoOptions &max_missing_frames(double share) { return set(mimo_vl_video_options_set_max_missing_frames, share); }
};

/* Frames of a video. */
class Video : public detail::Object<Video, mimo_vl_video, mimo_vl_video_free> {
public:
    explicit Video(mimo_vl_video *handle) : Object(handle) {}

    static Video open(const std::string &path, const VideoOptions &options = {}) {
        return Video(detail::make<mimo_vl_video>(mimo_vl_video_from_path, path.c_str(), options.get()));
    }
    static Video from_frames(const std::vector<Image> &frames, double fps) {
        std::vector<const mimo_vl_image *> handles;
        for (const Image &frame : frames) handles.push_back(frame.get());
        return Video(detail::make<mimo_vl_video>(mimo_vl_video_from_frames, handles.data(), handles.size(), fps));
    }

    Video &max_pixels(uint32_t pixels) { return set(mimo_vl_video_set_max_pixels, pixels); }
    size_t frame_count() const noexcept { return mimo_vl_video_frame_count(get()); }
    double fps() const noexcept { return mimo_vl_video_fps(get()); }
    size_t replaced_frames() const noexcept { return mimo_vl_video_replaced_frames(get()); }
    double timestamp(size_t index) const noexcept { return mimo_vl_video_timestamp(get(), index); }
    Image frame(size_t index) const { return Image(detail::make<mimo_vl_image>(mimo_vl_video_frame, get(), index)); }
};

/* Options of rendering a PDF file. */
class PdfOptions
    : public detail::CallOptions<PdfOptions, mimo_vl_pdf_options, mimo_vl_pdf_options_free,
                                 mimo_vl_pdf_options_set_cancel, mimo_vl_pdf_options_set_timeout,
                                 mimo_vl_pdf_options_set_progress> {
public:
    PdfOptions() : CallOptions(mimo_vl_pdf_options_new()) {}
    /* First and last page, counted from 1. */
    PdfOptions &pages(size_t first, size_t last) { return set(mimo_vl_pdf_options_set_pages, first, last); }
    PdfOptions &dpi(float dpi) { return set(mimo_vl_pdf_options_set_dpi, dpi); }
    PdfOptions &max_pixels(uint32_t pixels) { return set(mimo_vl_pdf_options_set_max_pixels, pixels); }
    PdfOptions &max_pages(size_t pages) { return set(mimo_vl_pdf_options_set_max_pages, pages); }
    PdfOptions &password(const std::string &password) {
        return set(mimo_vl_pdf_options_set_password, password.c_str());
    }
};

/* Rendered pages of a PDF file, counted from 0. */
class Pdf : public detail::Object<Pdf, mimo_vl_pdf, mimo_vl_pdf_free> {
public:
    static Pdf open(const std::string &path, const PdfOptions &options = {}) {
        return Pdf(detail::make<mimo_vl_pdf>(mimo_vl_pdf_from_path, path.c_str(), options.get()));
    }
    size_t page_count() const noexcept { return mimo_vl_pdf_page_count(get()); }
    Image image(size_t index) const { return Image(detail::make<mimo_vl_image>(mimo_vl_pdf_page_image, get(), index)); }
    /* Number in the file, counted from 1. */
    size_t number(size_t index) const noexcept { return mimo_vl_pdf_page_number(get(), index); }
    /* Width and height in points; nothing if there is no such page. */
    std::optional<std::array<double, 2>> size(size_t index) const {
        std::array<double, 2> size;
        if (!mimo_vl_pdf_page_size(get(), index, size.data())) return std::nullopt;
        return size;
    }
    /* A box in pixels of the page's image, in points of the page. */
    std::optional<std::array<double, 4>> to_points(size_t index, const std::array<double, 4> &box) const {
        std::array<double, 4> points;
        if (!mimo_vl_pdf_page_box_to_points(get(), index, box.data(), points.data())) return std::nullopt;
        return points;
    }

private:
    explicit Pdf(mimo_vl_pdf *handle) : Object(handle) {}

};

/* Messages that one call adds to the conversation. */
class Prompt : public detail::Object<Prompt, mimo_vl_prompt, mimo_vl_prompt_free> {
public:
    Prompt() : Object(mimo_vl_prompt_new_user()) {}
    explicit Prompt(mimo_vl_prompt *handle) : Object(handle) {}

    Prompt &system(std::string_view text) { return set(mimo_vl_prompt_set_system, text.data(), text.size()); }
    /* Begins the next message, to which everything is added from here on; the last one must be the user's. */
    Prompt &begin_message(mimo_vl_role role) { return set(mimo_vl_prompt_begin_message, static_cast<int32_t>(role)); }
    Prompt &text(std::string_view text) { return set(mimo_vl_prompt_add_text, text.data(), text.size()); }
    Prompt &image(const Image &image) { return set(mimo_vl_prompt_add_image, image.get()); }
    Prompt &video(const Video &video) { return set(mimo_vl_prompt_add_video, video.get()); }
    /* Adds text; throws where it looks like the name of a file or a URL: `text` adds it all the same. */
    Prompt &add(std::string_view text) {
        if (mimo_vl_is_media_name(text.data(), text.size()))
            throw Error(MIMO_VL_STATUS_PROMPT, "\"" + std::string(text) + "\" looks like a file or a URL, and would be "
                                               "sent as text: add Image::open(...) or Video::open(...)");
        return this->text(text);
    }
    Prompt &add(const Image &image) { return this->image(image); }
    Prompt &add(const Video &video) { return this->video(video); }
    Prompt &continue_final_message(bool on = true) { return set(mimo_vl_prompt_set_continue_final_message, on); }
    Prompt &thinking(mimo_vl_thinking thinking) {
        return set(mimo_vl_prompt_set_thinking, static_cast<int32_t>(thinking));
    }
};

/* Options of loading a model. */
class LoadOptions
    : public detail::CallOptions<LoadOptions, mimo_vl_load_options, mimo_vl_load_options_free,
                                 mimo_vl_load_options_set_cancel, mimo_vl_load_options_set_timeout,
                                 mimo_vl_load_options_set_progress> {
public:
    LoadOptions() : CallOptions(mimo_vl_load_options_new()) {}
    LoadOptions &device(const std::string &name) { return set(mimo_vl_load_options_set_device, name.c_str()); }
    LoadOptions &weights(mimo_vl_weight_format weights) {
        return set(mimo_vl_load_options_set_weights, static_cast<int32_t>(weights));
    }
    LoadOptions &kv_cache_dtype(mimo_vl_kv_cache_dtype format) {
        return set(mimo_vl_load_options_set_kv_cache_dtype, static_cast<int32_t>(format));
    }
    LoadOptions &thinking_style(mimo_vl_thinking_style style) {
        return set(mimo_vl_load_options_set_thinking_style, static_cast<int32_t>(style));
    }
    LoadOptions &hub_revision(const std::string &revision) {
        return set(mimo_vl_load_options_set_hub_revision, revision.c_str());
    }
    LoadOptions &hub_token(const std::string &token) { return set(mimo_vl_load_options_set_hub_token, token.c_str()); }
    LoadOptions &hub_endpoint(const std::string &url) {
        return set(mimo_vl_load_options_set_hub_endpoint, url.c_str());
    }
    LoadOptions &hub_cache_dir(const std::string &path) {
        return set(mimo_vl_load_options_set_hub_cache_dir, path.c_str());
    }
    LoadOptions &hub_offline(bool offline = true) { return set(mimo_vl_load_options_set_hub_offline, offline); }
    LoadOptions &threads(size_t threads) { return set(mimo_vl_load_options_set_threads, threads); }
    LoadOptions &max_context(size_t tokens) { return set(mimo_vl_load_options_set_max_context, tokens); }
    LoadOptions &feature_cache(uint64_t bytes) { return set(mimo_vl_load_options_set_feature_cache, bytes); }
};

/* Loaded checkpoint. */
class Model : public detail::Object<Model, mimo_vl_model, mimo_vl_model_free> {
public:
    explicit Model(const std::string &path, const LoadOptions &options = {})
        : Object(detail::make<mimo_vl_model>(mimo_vl_model_load, path.c_str(), options.get())) {}

    std::string_view device() const {
        mimo_vl_str text;
        mimo_vl_model_device(get(), &text);
        return detail::view(text);
    }
};

/* Output of the vision tower and the projector for an image: one row of floats per token. */
class Features : public detail::Object<Features, mimo_vl_features, mimo_vl_features_free> {
public:
    Features(const Model &model, const Image &image)
        : Object(detail::make<mimo_vl_features>(mimo_vl_model_features, model.get(), image.get())) {}
    const float *data() const noexcept { return mimo_vl_features_data(get()); }
    size_t rows() const noexcept { return mimo_vl_features_rows(get()); }
    size_t width() const noexcept { return mimo_vl_features_width(get()); }
};

/* Box or points of an answer, which must outlive it. */
class Region {
public:
    explicit Region(const mimo_vl_region *region) : region_(region) {}

    std::optional<std::string_view> label() const { return detail::maybe(region_, mimo_vl_region_label); }
    std::optional<std::string_view> text() const { return detail::maybe(region_, mimo_vl_region_text); }
    size_t image() const noexcept { return mimo_vl_region_image(region_); }
    /* Number of the PDF page, counted from 1; nothing if the image is not a page. */
    std::optional<size_t> page() const noexcept {
        size_t page = mimo_vl_region_page(region_);
        return page == 0 ? std::nullopt : std::optional<size_t>(page);
    }
    /* Left, top, right and bottom; nothing for points. */
    std::optional<std::array<double, 4>> box(mimo_vl_frame frame = MIMO_VL_FRAME_PIXELS) const {
        std::array<double, 4> edges{};
        if (!mimo_vl_region_box(region_, static_cast<int32_t>(frame), edges.data())) return std::nullopt;
        return edges;
    }
    /* Empty for a box. */
    std::vector<std::array<double, 2>> points(mimo_vl_frame frame = MIMO_VL_FRAME_PIXELS) const {
        std::vector<std::array<double, 2>> points(mimo_vl_region_point_count(region_));
        for (size_t index = 0; index < points.size(); ++index) {
            mimo_vl_region_point(region_, index, static_cast<int32_t>(frame), points[index].data());
        }
        return points;
    }
    bool clamped() const noexcept { return mimo_vl_region_clamped(region_); }
    /* NaN without logprobs. */
    float confidence() const noexcept { return mimo_vl_region_confidence(region_); }

private:
    const mimo_vl_region *region_;
};

/* GUI action on a screen. */
class Action : public detail::Object<Action, mimo_vl_action, mimo_vl_action_free> {
public:
    explicit Action(mimo_vl_action *handle) : Object(handle) {}

    static Action parse(std::string_view text) {
        return Action(detail::make<mimo_vl_action>(mimo_vl_action_parse, text.data(), text.size()));
    }
    mimo_vl_action_kind kind() const noexcept { return mimo_vl_action_kind_of(get()); }
    std::optional<std::array<double, 2>> point() const { return coordinates(mimo_vl_action_point); }
    std::optional<std::array<double, 2>> end_point() const { return coordinates(mimo_vl_action_end_point); }
    std::optional<std::string_view> text() const { return detail::maybe(get(), mimo_vl_action_text); }
    std::optional<std::string_view> direction() const { return detail::maybe(get(), mimo_vl_action_direction); }
    std::vector<std::string_view> keys() const {
        std::vector<std::string_view> keys;
        mimo_vl_str key;
        for (size_t index = 0; mimo_vl_action_key(get(), index, &key); ++index) keys.push_back(detail::view(key));
        return keys;
    }
    std::string_view json() const {
        mimo_vl_str text;
        mimo_vl_action_json(get(), &text);
        return detail::view(text);
    }
    Action scroll_as_drag(double width, double height) const {
        return Action(detail::make<mimo_vl_action>(mimo_vl_action_scroll_as_drag, get(), width, height));
    }

private:
    template <typename Reader> std::optional<std::array<double, 2>> coordinates(Reader reader) const {
        std::array<double, 2> point{};
        if (!reader(get(), point.data())) return std::nullopt;
        return point;
    }

};

/* Converts a point of a screenshot, in pixels, to the desktop. */
inline std::array<double, 2> to_desktop(const mimo_vl_screen &screen, std::array<double, 2> point) noexcept {
    mimo_vl_screen_to_desktop(&screen, point[0], point[1], point.data());
    return point;
}
/* Converts a point of the desktop to a screenshot, in pixels. */
inline std::array<double, 2> to_pixels(const mimo_vl_screen &screen, std::array<double, 2> point) noexcept {
    mimo_vl_screen_to_pixels(&screen, point[0], point[1], point.data());
    return point;
}
/* Index of the screen that contains a point of the desktop. */
inline std::optional<size_t> screen_at(const std::vector<mimo_vl_screen> &screens,
                                       std::array<double, 2> point) noexcept {
    const size_t index = mimo_vl_screen_at(screens.data(), screens.size(), point[0], point[1]);
    return index < screens.size() ? std::optional<size_t>(index) : std::nullopt;
}
/* True if a point lies in the box left, top, right, bottom. */
inline bool contains(const std::array<double, 4> &edges, std::array<double, 2> point) noexcept {
    return mimo_vl_box_contains(edges.data(), point[0], point[1]);
}

/* Task of a GUI agent. */
class Task : public detail::Object<Task, mimo_vl_task, mimo_vl_task_free> {
public:
    explicit Task(std::string_view goal)
        : Object(detail::make<mimo_vl_task>(mimo_vl_task_new, goal.data(), goal.size())) {}

    Task &instruction(std::string_view text) { return set(mimo_vl_task_set_instruction, text.data(), text.size()); }
    Task &action_space(const std::vector<mimo_vl_action_kind> &kinds) {
        std::vector<int32_t> numbers(kinds.begin(), kinds.end());
        return set(mimo_vl_task_set_action_space, static_cast<const int32_t *>(numbers.data()), numbers.size());
    }
    Task &add_step(std::string_view explanation, const Action &action) {
        return set(mimo_vl_task_add_step, explanation.data(), explanation.size(), action.get());
    }
    Prompt prompt(const Image &screenshot, const Model &model) const {
        return Prompt(detail::make<mimo_vl_prompt>(mimo_vl_task_prompt, get(), screenshot.get(), model.get()));
    }
};

/* Options of generating an answer. */
class GenerateOptions
    : public detail::CallOptions<GenerateOptions, mimo_vl_generate_options, mimo_vl_generate_options_free,
                                 mimo_vl_generate_options_set_cancel, mimo_vl_generate_options_set_timeout,
                                 mimo_vl_generate_options_set_progress> {
public:
    GenerateOptions() : CallOptions(mimo_vl_generate_options_new()) {}
    GenerateOptions &max_tokens(size_t tokens) { return set(mimo_vl_generate_options_set_max_tokens, tokens); }
    GenerateOptions &temperature(float value) { return set(mimo_vl_generate_options_set_temperature, value); }
    GenerateOptions &top_k(size_t count) { return set(mimo_vl_generate_options_set_top_k, count); }
    GenerateOptions &top_p(float value) { return set(mimo_vl_generate_options_set_top_p, value); }
    GenerateOptions &min_p(float value) { return set(mimo_vl_generate_options_set_min_p, value); }
    GenerateOptions &typical_p(float value) { return set(mimo_vl_generate_options_set_typical_p, value); }
    GenerateOptions &max_context(size_t tokens) { return set(mimo_vl_generate_options_set_max_context, tokens); }
    GenerateOptions &repetition_penalty(float value) {
        return set(mimo_vl_generate_options_set_repetition_penalty, value);
    }
    GenerateOptions &frequency_penalty(float value) {
        return set(mimo_vl_generate_options_set_frequency_penalty, value);
    }
    GenerateOptions &presence_penalty(float value) { return set(mimo_vl_generate_options_set_presence_penalty, value); }
    GenerateOptions &logit_bias(uint32_t token, float bias) {
        return set(mimo_vl_generate_options_add_logit_bias, token, bias);
    }
    GenerateOptions &seed(uint64_t seed) { return set(mimo_vl_generate_options_set_seed, seed); }
    GenerateOptions &num_draft_tokens(size_t tokens) {
        return set(mimo_vl_generate_options_set_num_draft_tokens, tokens);
    }
    GenerateOptions &stop(std::string_view text) {
        return set(mimo_vl_generate_options_add_stop, text.data(), text.size());
    }
    GenerateOptions &grammar(mimo_vl_grammar_kind kind, std::string_view text = {}) {
        return set(mimo_vl_generate_options_set_grammar, static_cast<int32_t>(kind), text.data(), text.size());
    }
    GenerateOptions &grammar(const Task &task) { return set(mimo_vl_generate_options_set_task, task.get()); }
    GenerateOptions &loop_window(size_t tokens) { return set(mimo_vl_generate_options_set_loop_window, tokens); }
    /* Number of alternatives per token, 0 to 100; nothing is off. */
    GenerateOptions &logprobs(std::optional<size_t> alternatives = 0) {
        return set(mimo_vl_generate_options_set_logprobs, alternatives.value_or(SIZE_MAX));
    }
    GenerateOptions &best_of(size_t answers) { return set(mimo_vl_generate_options_set_best_of, answers); }
    GenerateOptions &thinking_budget(size_t tokens) {
        return set(mimo_vl_generate_options_set_thinking_budget, tokens);
    }
    GenerateOptions &keep_thinking(bool keep = true) { return set(mimo_vl_generate_options_set_keep_thinking, keep); }
    GenerateOptions &prose_regions(bool on = true) { return set(mimo_vl_generate_options_set_prose_regions, on); }

private:
    friend class Session;
    friend class Batch;

};

/* Logprob of one token of an answer. */
struct TokenLogprob {
    uint32_t token;
    /* Natural logarithm of the model's probability, before bias, penalties and temperature. */
    float logprob;
    /* Start and end in the text of the answer, in bytes. */
    std::array<size_t, 2> range;
    /* The most likely tokens in its place with their logprobs, the most likely first. */
    std::vector<std::pair<uint32_t, float>> top;
};

/* Complete answer. */
class Answer : public detail::Object<Answer, mimo_vl_answer, mimo_vl_answer_free> {
public:
    explicit Answer(mimo_vl_answer *handle) : Object(handle) {}

    /* A view is valid as long as the answer; a temporary answer returns a copy. */
    std::string_view text() const & {
        mimo_vl_str text;
        mimo_vl_answer_text(get(), &text);
        return detail::view(text);
    }
    std::string text() const && { return std::string(text()); }
    std::optional<std::string_view> thinking() const & { return detail::maybe(get(), mimo_vl_answer_thinking); }
    std::optional<std::string> thinking() const && {
        auto thinking = this->thinking();
        return thinking ? std::optional<std::string>(*thinking) : std::nullopt;
    }
    bool complete() const noexcept { return mimo_vl_answer_complete(get()); }
    bool closed_early() const noexcept { return mimo_vl_answer_closed_early(get()); }
    mimo_vl_stop_reason stop_reason() const noexcept { return mimo_vl_answer_stop_reason(get()); }
    size_t tokens() const noexcept { return mimo_vl_answer_tokens(get()); }
    size_t prompt_tokens() const noexcept { return mimo_vl_answer_prompt_tokens(get()); }
    std::vector<Region> regions() const && = delete;
    std::vector<Region> regions() const & {
        std::vector<Region> regions;
        size_t count = mimo_vl_answer_region_count(get());
        for (size_t index = 0; index < count; ++index) regions.emplace_back(mimo_vl_answer_region(get(), index));
        return regions;
    }
    /* Points are in pixels of the last image. */
    Action action() const { return Action(detail::make<mimo_vl_action>(mimo_vl_answer_action, get())); }
    Image draw(const Image &image, size_t index = 0) const {
        return Image(detail::make<mimo_vl_image>(mimo_vl_answer_draw_regions, get(), index, image.get()));
    }
    /* Logprob of each token; empty without GenerateOptions::logprobs. */
    std::vector<TokenLogprob> logprobs() const {
        std::vector<TokenLogprob> logprobs(mimo_vl_answer_logprob_count(get()));
        for (size_t index = 0; index < logprobs.size(); ++index) {
            TokenLogprob &token = logprobs[index];
            token.token = mimo_vl_answer_logprob_token(get(), index);
            token.logprob = mimo_vl_answer_logprob(get(), index);
            mimo_vl_answer_logprob_range(get(), index, token.range.data());
            token.top.resize(mimo_vl_answer_top_logprob_count(get(), index));
            for (size_t rank = 0; rank < token.top.size(); ++rank) {
                auto &[alternative, logprob] = token.top[rank];
                logprob = mimo_vl_answer_top_logprob(get(), index, rank, &alternative);
            }
        }
        return logprobs;
    }
    /* Confidence of a value of a JSON answer, named by a JSON pointer (RFC 6901); NaN without logprobs. */
    float field_confidence(std::string_view pointer) const noexcept {
        return mimo_vl_answer_field_confidence(get(), pointer.data(), pointer.size());
    }
    double seconds(mimo_vl_timing timing) const noexcept {
        return mimo_vl_answer_seconds(get(), static_cast<int32_t>(timing));
    }
    uint64_t bytes(mimo_vl_memory memory) const noexcept {
        return mimo_vl_answer_bytes(get(), static_cast<int32_t>(memory));
    }
    double decode_tokens_per_second() const noexcept { return mimo_vl_answer_decode_tokens_per_second(get()); }
};

/* Tokens and memory that a prompt and its answer take. */
class Plan : public detail::Object<Plan, mimo_vl_plan, mimo_vl_plan_free> {
public:
    explicit Plan(mimo_vl_plan *handle) : Object(handle) {}

    bool fits() const noexcept { return mimo_vl_plan_fits(get()); }
    size_t prompt_tokens() const noexcept { return mimo_vl_plan_prompt_tokens(get()); }
    size_t cached_tokens() const noexcept { return mimo_vl_plan_cached_tokens(get()); }
    size_t answer_tokens() const noexcept { return mimo_vl_plan_answer_tokens(get()); }
    uint64_t cache_bytes() const noexcept { return mimo_vl_plan_cache_bytes(get()); }
    uint64_t peak_bytes() const noexcept { return mimo_vl_plan_peak_bytes(get()); }
    uint64_t available_bytes() const noexcept { return mimo_vl_plan_available_bytes(get()); }
    size_t part_count() const noexcept { return mimo_vl_plan_part_count(get()); }
    size_t part_tokens(size_t index) const noexcept { return mimo_vl_plan_part_tokens(get(), index); }
    /* Width and height at which the model sees an image or video; nothing for text. */
    std::optional<std::array<size_t, 2>> part_size(size_t index) const {
        std::array<size_t, 2> size{};
        if (!mimo_vl_plan_part_size(get(), index, size.data())) return std::nullopt;
        return size;
    }
};

/* Event of an answer; valid until the next one of its stream or batch. */
struct Event {
    mimo_vl_event_kind kind;
    std::string_view text;
    std::optional<Region> region;
};

/* Answer that is being generated. A range-based for can iterate over its events once. */
class Stream {
public:
    explicit Stream(mimo_vl_stream *handle) : handle_(handle) {}

    /* The next event; nothing after the end. */
    std::optional<Event> next() {
        if (ended_) return std::nullopt;
        mimo_vl_event_kind kind;
        mimo_vl_str text;
        detail::run(mimo_vl_stream_next, get(), &kind, &text);
        ended_ = kind == MIMO_VL_EVENT_KIND_END;
        const mimo_vl_region *region = mimo_vl_stream_region(get());
        return Event{kind, detail::view(text), region ? std::optional<Region>(Region(region)) : std::nullopt};
    }
    void stop() { detail::run(mimo_vl_stream_stop, get()); }
    void end_thinking() { detail::run(mimo_vl_stream_end_thinking, get()); }
    Answer finish() { return Answer(detail::make<mimo_vl_answer>(mimo_vl_stream_finish, get())); }

    class Iterator {
    public:
        using iterator_category = std::input_iterator_tag;
        using value_type = Event;
        using difference_type = std::ptrdiff_t;
        using pointer = const Event *;
        using reference = const Event &;

        Iterator() = default;
        explicit Iterator(Stream *stream) : stream_(stream), event_(stream->next()) {}
        reference operator*() const { return *event_; }
        pointer operator->() const { return &*event_; }
        Iterator &operator++() { return event_ = stream_->next(), *this; }
        void operator++(int) { ++*this; }
        bool operator==(const Iterator &other) const { return event_.has_value() == other.event_.has_value(); }
        bool operator!=(const Iterator &other) const { return !(*this == other); }

    private:
        Stream *stream_ = nullptr;
        std::optional<Event> event_;
    };
    Iterator begin() { return Iterator(this); }
    Iterator end() { return Iterator(); }
    mimo_vl_stream *get() const noexcept { return handle_.get(); }

private:
    friend class Session;

    /* Declared first, so that it is destroyed last. */
    std::shared_ptr<Progress> progress_;
    detail::Handle<mimo_vl_stream, mimo_vl_stream_free> handle_;
    bool ended_ = false;
};

/* Conversation with a model. */
class Session : public detail::Object<Session, mimo_vl_session, mimo_vl_session_free> {
public:
    explicit Session(const Model &model)
        : Object(detail::make<mimo_vl_session>(mimo_vl_session_new, model.get())) {}
    static Session load(const Model &model, const std::string &path) {
        return Session(detail::make<mimo_vl_session>(mimo_vl_session_load, model.get(), path.c_str()));
    }

    Answer ask(const Prompt &prompt, const GenerateOptions &options = {}) {
        return Answer(detail::make<mimo_vl_answer>(mimo_vl_session_ask, get(), prompt.get(), options.get()));
    }
    Stream stream(const Prompt &prompt, const GenerateOptions &options = {}) {
        Stream stream(detail::make<mimo_vl_stream>(mimo_vl_session_stream, get(), prompt.get(), options.get()));
        stream.progress_ = options.progress_;
        detail::rethrow();
        return stream;
    }
    Plan plan(const Prompt &prompt, const GenerateOptions &options = {}) const {
        return Plan(detail::make<mimo_vl_plan>(mimo_vl_session_plan, get(), prompt.get(), options.get()));
    }
    /* A copy of the prompt that fits into a budget of tokens and bytes; 0 is all of the context or free memory. */
    Prompt fit(const Prompt &prompt, size_t tokens, uint64_t bytes, bool lower_pixels,
               const GenerateOptions &options = {}) const {
        mimo_vl_prompt *fitting = nullptr;
        detail::run(mimo_vl_session_fit, get(), prompt.get(), options.get(), tokens, bytes, lower_pixels, &fitting,
                    nullptr);
        return Prompt(fitting);
    }
    Session fork() const { return Session(detail::make<mimo_vl_session>(mimo_vl_session_fork, get())); }
    void save(const std::string &path) const { detail::run(mimo_vl_session_save, get(), path.c_str()); }
    void reset() { detail::run(mimo_vl_session_reset, get()); }

private:
    explicit Session(mimo_vl_session *handle) : Object(handle) {}

};

/* Several prompts that are answered at the same time, each in a conversation of its own. */
class Batch {
public:
    explicit Batch(const Model &model, size_t max_concurrent = 8) : Batch(model, max_concurrent, nullptr) {}
    /* The token cancels all prompts that are not answered yet. */
    Batch(const Model &model, size_t max_concurrent, const CancelToken &token)
        : Batch(model, max_concurrent, token.get()) {}

    /* Returns the number of the prompt, counted from 0. */
    size_t add(const Prompt &prompt, const GenerateOptions &options = {}) {
        size_t number = 0;
        detail::run(mimo_vl_batch_add, get(), prompt.get(), options.get(), &number);
        if (options.progress_) progress_[number] = options.progress_;
        return number;
    }
    /* The next event, of prompt number(); nothing once all are answered. An exception concerns that prompt alone. */
    std::optional<Event> next() {
        mimo_vl_event_kind kind = MIMO_VL_EVENT_KIND_END;
        mimo_vl_str text;
        mimo_vl_error *error = nullptr;
        mimo_vl_status status = mimo_vl_batch_next(get(), &number_, &kind, &text, &error);
        if (status != MIMO_VL_STATUS_OK || kind == MIMO_VL_EVENT_KIND_END) progress_.erase(number_);
        detail::check(status, error);
        if (number_ == SIZE_MAX) return std::nullopt;
        const mimo_vl_region *region = mimo_vl_batch_region(get());
        return Event{kind, detail::view(text), region ? std::optional<Region>(Region(region)) : std::nullopt};
    }
    size_t number() const noexcept { return number_; }
    Answer answer(size_t number) {
        return Answer(detail::make<mimo_vl_answer>(mimo_vl_batch_answer, get(), number));
    }
    void remove(size_t number) {
        detail::run(mimo_vl_batch_remove, get(), number);
        progress_.erase(number);
    }
    mimo_vl_batch *get() const noexcept { return handle_.get(); }

private:
    Batch(const Model &model, size_t max_concurrent, const mimo_vl_cancel_token *token)
        : handle_(detail::make<mimo_vl_batch>(mimo_vl_batch_new, model.get(), max_concurrent, token)) {}

    /* Functions of the options of prompts that are not complete. Declared first, so that they are destroyed last. */
    std::map<size_t, std::shared_ptr<Progress>> progress_;
    detail::Handle<mimo_vl_batch, mimo_vl_batch_free> handle_;
    size_t number_ = SIZE_MAX;
};

} // namespace mimo_vl

#endif
