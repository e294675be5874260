export function GET({ params, url }) {
  return Response.json({ id: params.id, q: url.searchParams.get("q"), price: 12.5, tags: ["a", "b"] });
}
