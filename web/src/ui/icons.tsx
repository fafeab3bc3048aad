// Line icons, drawn here: they need no file, no font and no foreign licence. They are ornament; words stand beside them.

const paths = {
  microphone: "M12 3a3 3 0 0 0-3 3v5a3 3 0 0 0 6 0V6a3 3 0 0 0-3-3zM5 11a7 7 0 0 0 14 0M12 18v3M8.5 21h7",
  camera:
    "M3 7.5A1.5 1.5 0 0 1 4.5 6h9A1.5 1.5 0 0 1 15 7.5v9a1.5 1.5 0 0 1-1.5 1.5h-9A1.5 1.5 0 0 1 3 16.5zM15 10.5l6-3v9l-6-3",
  screen: "M3 5h18v11H3zM9 20h6M12 16v4M12 13V8M9.5 10.2 12 7.7l2.5 2.5",
  leave: "M10 4H5v16h5M14 8l4 4-4 4M18 12H9",
  end: "M3.5 14.5c0-5 17-5 17 0v1.2c0 .8-.6 1.3-1.4 1.2l-2.6-.4c-.6-.1-1-.6-1-1.2v-1.5c-2.2-.8-4.8-.8-7 0v1.5c0 .6-.4 1.1-1 1.2l-2.6.4c-.8.1-1.4-.4-1.4-1.2z",
  slash: "M4 4l16 16",
  people:
    "M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM2.5 20a6.5 6.5 0 0 1 13 0M16 4.5a3.5 3.5 0 0 1 0 6.5M18 14.5a6.5 6.5 0 0 1 3.5 5.5",
  sound: "M4 9.5v5h3.5L12 18.5v-13L7.5 9.5zM16 9a4.5 4.5 0 0 1 0 6M18.5 6.5a8 8 0 0 1 0 11",
  download: "M12 4v11M7.5 11 12 15.5 16.5 11M4 20h16",
  search: "M10.5 17a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13zM15.5 15.5 21 21",
  back: "M14 5l-7 7 7 7",
  pause: "M8 5v14M16 5v14",
  play: "M7 4.5v15l12-7.5z",
  frame: "M6 5v14l8-7zM18 5v14",
  frameback: "M18 5v14l-8-7zM6 5v14",
  next: "M5 5v14l7-7zM12 5v14l7-7zM20.5 5v14",
  previous: "M19 5v14l-7-7zM12 5v14l-7-7zM3.5 5v14",
  pip: "M3 5h18v14H3zM12.5 12h6v4.5h-6z",
  full: "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
  chevron: "M9 6l6 6-6 6",
  lock: "M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3",
  record: "M12 18a6 6 0 1 0 0-12 6 6 0 0 0 0 12z",
} as const;

export type IconName = keyof typeof paths;

export function Icon({ name, off = false }: { name: IconName; off?: boolean }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={paths[name]} />
      {off && <path class="icon-slash" d={paths.slash} />}
    </svg>
  );
}
